-- Version 2: event files may be objects, told apart by their ETag, too, and days of a table of a lake.
ALTER TABLE source_files ADD COLUMN etag VARCHAR;
COMMENT ON TABLE source_files IS 'the manifest: every file ever seen, by its content; entered_at is when it was first seen, gone_at when it was found to be gone or changed; a day of a table is one, too: its path has the version, its etag the id of the table';

ALTER TABLE run_files ADD COLUMN versioned_path VARCHAR;
COMMENT ON TABLE run_files IS 'which files a run read; those that do not count were only compared with (R8); versioned_path is the day of a table at the version that was read';
