-- Version 3: the keys of repeated events are kept as they are, and no longer as DuckDB's hash of them, which changes with
-- DuckDB's version (R38). They are read again from the files: until then a file has no keys_version. And the definition by
-- which the ids of a run's readings were made is kept (R21); NULL is the first.
ALTER TABLE source_files ADD COLUMN keys_version INTEGER;

DROP TABLE repeated_rows;
CREATE TABLE repeated_rows (
    workspace_id VARCHAR NOT NULL,
    universe_id VARCHAR NOT NULL,
    event_id VARCHAR NOT NULL,
    file_id INTEGER NOT NULL,
    recorded_at TIMESTAMP
);
COMMENT ON TABLE repeated_rows IS 'where the rows are whose event key occurs more than once (R8), each with its key';

ALTER TABLE runs ADD COLUMN ids_version INTEGER;

-- What was proven of an event file when it was first seen (R35); NULL for one that came before, and for a day.
ALTER TABLE source_files ADD COLUMN proven VARCHAR;
COMMENT ON TABLE source_files IS 'the manifest: every file ever seen, by its content; entered_at is when it was first seen, gone_at when it was found to be gone or changed; proven is JSON: whether the file is whole, its checksums, and its rows as counted apart from the reader; a day of a table is one, too: its path has the version, its etag the id of the table';
