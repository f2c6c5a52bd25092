-- Version 3: what was proven of an event file when it was first seen (R35); NULL for one that came before, and for a day.
ALTER TABLE source_files ADD COLUMN proven VARCHAR;
COMMENT ON TABLE source_files IS 'the manifest: every file ever seen, by its content; entered_at is when it was first seen, gone_at when it was found to be gone or changed; proven is JSON: whether the file is whole, its checksums, and its rows as counted apart from the reader; a day of a table is one, too: its path has the version, its etag the id of the table';
