-- why: the rows of repeated keys that do not count, with what became of them (R8)
-- reads: settled(id VARCHAR, verdict VARCHAR)
-- yields: id VARCHAR, verdict VARCHAR, status VARCHAR
-- params:
SELECT *, verdict AS status
FROM settled
WHERE verdict <> 'kept'
