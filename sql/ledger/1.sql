-- The tables of a ledger, version 1. A later version is a file 2.sql beside this one, which brings a ledger of version 1
-- forward. Times are UTC. Quantities are plain decimal text (R17), exact in any scale: CAST(quantity AS DECIMAL(38, 18)).
CREATE TABLE ledger (
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_with VARCHAR NOT NULL,
    reading_options VARCHAR
);
COMMENT ON TABLE ledger IS 'one row: the version of these tables, and how the event files are read (JSON)';

CREATE TABLE source_patterns (pattern VARCHAR PRIMARY KEY, added_at TIMESTAMP WITH TIME ZONE NOT NULL);
COMMENT ON TABLE source_patterns IS 'where event files are looked for: paths, folders and globs';

CREATE TABLE source_files (
    file_id INTEGER PRIMARY KEY,
    path VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    rows_without_time BIGINT NOT NULL,
    first_recorded_at TIMESTAMP WITH TIME ZONE,
    last_recorded_at TIMESTAMP WITH TIME ZONE,
    last_metered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    entered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE
);
COMMENT ON TABLE source_files IS 'the manifest: every file ever seen, by its content; entered_at is when it was first seen, gone_at when it was found to be gone or changed';

CREATE TABLE source_hours (
    file_id INTEGER NOT NULL,
    hour TIMESTAMP NOT NULL,
    events BIGINT NOT NULL,
    first_recorded_at TIMESTAMP NOT NULL,
    last_recorded_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE source_hours IS 'how many events of each UTC hour a file has: which periods it touches';

CREATE TABLE repeated_rows (key_hash UBIGINT NOT NULL, file_id INTEGER NOT NULL, recorded_at TIMESTAMP);
COMMENT ON TABLE repeated_rows IS 'where the rows are whose event key may occur more than once (R8)';

CREATE TABLE configs (
    config_sha256 VARCHAR PRIMARY KEY,
    config VARCHAR NOT NULL,
    added_at TIMESTAMP WITH TIME ZONE NOT NULL
);
COMMENT ON TABLE configs IS 'every config that was ever used, as canonical JSON';

CREATE TABLE config_versions (
    effective_from TIMESTAMP WITH TIME ZONE NOT NULL,
    config_sha256 VARCHAR NOT NULL,
    added_at TIMESTAMP WITH TIME ZONE NOT NULL
);
COMMENT ON TABLE config_versions IS 'from which period on a config is used; of equal moments the one that was added last';

CREATE TABLE periods (
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    period_end TIMESTAMP WITH TIME ZONE NOT NULL,
    name VARCHAR NOT NULL,
    timezone VARCHAR NOT NULL,
    run_id BIGINT NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    closed_by VARCHAR,
    closed_run_id BIGINT,
    PRIMARY KEY (period_start, period_end)
);
COMMENT ON TABLE periods IS 'the run whose readings count in each period; a closed one keeps closed_run_id for ever, and run_id moves only when a restatement is booked';

CREATE TABLE runs (
    run_id BIGINT PRIMARY KEY,
    kind VARCHAR NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    period_end TIMESTAMP WITH TIME ZONE NOT NULL,
    status VARCHAR NOT NULL,
    message VARCHAR,
    config_sha256 VARCHAR NOT NULL,
    options VARCHAR NOT NULL,
    as_of TIMESTAMP WITH TIME ZONE,
    clock TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
    versions VARCHAR NOT NULL,
    reach VARCHAR NOT NULL,
    inputs_sha256 VARCHAR NOT NULL,
    sources_sha256 VARCHAR NOT NULL,
    levels_before_sha256 VARCHAR,
    levels_before_run_id BIGINT,
    levels_sha256 VARCHAR,
    readings_sha256 VARCHAR,
    readings_of BIGINT,
    readings BIGINT,
    quantity_type VARCHAR,
    read BIGINT,
    metered BIGINT,
    unmatched BIGINT,
    duplicates BIGINT,
    conflicts BIGINT,
    rejected BIGINT,
    unmatched_entry BIGINT,
    unmatched_filter BIGINT,
    times_cut BIGINT,
    times_naive BIGINT
);
COMMENT ON TABLE runs IS 'every run: of which period, config and files, its books (R9), and the SHA-256 of its readings as NDJSON; readings_of is the run that holds the same readings';

CREATE TABLE run_files (run_id BIGINT NOT NULL, file_id INTEGER NOT NULL, counts BOOLEAN NOT NULL);
COMMENT ON TABLE run_files IS 'which files a run read; those that do not count were only compared with (R8)';

CREATE TABLE run_histories (run_id BIGINT NOT NULL, history_sha256 VARCHAR NOT NULL);
COMMENT ON TABLE run_histories IS 'under which files, up to the end of its period, the levels of a run are known to hold';

CREATE TABLE readings (
    run_id BIGINT NOT NULL,
    id VARCHAR NOT NULL,
    workspace_id VARCHAR,
    universe_id VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    aggregation VARCHAR NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    dimensions MAP(VARCHAR, VARCHAR) NOT NULL,
    quantity VARCHAR,
    record_count BIGINT NOT NULL,
    max_metered_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    numerator VARCHAR,
    divisor_us BIGINT,
    carried BOOLEAN,
    last_recorded_at TIMESTAMP WITH TIME ZONE,
    last_metered_at TIMESTAMP WITH TIME ZONE,
    last_event_id VARCHAR,
    prorated BOOLEAN
);
COMMENT ON TABLE readings IS 'the readings of every run that has some of its own';

CREATE TABLE levels (
    run_id BIGINT NOT NULL,
    workspace_id VARCHAR,
    universe_id VARCHAR,
    subject VARCHAR,
    dimensions VARCHAR,
    unit VARCHAR,
    aggregation VARCHAR,
    recorded_at TIMESTAMP,
    metered_at TIMESTAMP,
    event_id VARCHAR,
    level VARCHAR
);
COMMENT ON TABLE levels IS 'the level of each gauge at the end of a run''s period, which the next one begins with (R14)';

CREATE TABLE rejects (
    run_id BIGINT NOT NULL,
    workspace_id VARCHAR,
    universe_id VARCHAR,
    id VARCHAR,
    type VARCHAR,
    subject VARCHAR,
    time VARCHAR,
    measurement VARCHAR,
    source_property VARCHAR,
    unit VARCHAR,
    text VARCHAR,
    reason VARCHAR,
    file VARCHAR
);
COMMENT ON TABLE rejects IS 'every rejected event of every run (R3); of run 0 those without a usable time, which are of no period';

CREATE TABLE conflicts (
    run_id BIGINT NOT NULL,
    workspace_id VARCHAR,
    universe_id VARCHAR,
    id VARCHAR,
    kept_metered_at TIMESTAMP WITH TIME ZONE,
    kept_content VARCHAR,
    lost_metered_at TIMESTAMP WITH TIME ZONE,
    lost_content VARCHAR
);
COMMENT ON TABLE conflicts IS 'every event that lost to another of the same key (R8), of every run';

CREATE TABLE restatements (
    restatement_id VARCHAR PRIMARY KEY,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    period_end TIMESTAMP WITH TIME ZONE NOT NULL,
    old_run_id BIGINT NOT NULL,
    new_run_id BIGINT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    booked_at TIMESTAMP WITH TIME ZONE,
    booked_by VARCHAR
);
COMMENT ON TABLE restatements IS 'what a closed period would be now, against what it is; once booked, the new run counts';

CREATE TABLE adjustments (
    restatement_id VARCHAR NOT NULL,
    reading_id VARCHAR NOT NULL,
    workspace_id VARCHAR,
    universe_id VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    aggregation VARCHAR NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    dimensions MAP(VARCHAR, VARCHAR) NOT NULL,
    old VARCHAR,
    new VARCHAR,
    delta VARCHAR NOT NULL,
    events BIGINT NOT NULL,
    why VARCHAR NOT NULL
);
COMMENT ON TABLE adjustments IS 'per reading key old + delta = new, exactly (R25)';

CREATE TABLE causes (
    restatement_id VARCHAR NOT NULL,
    reading_id VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    workspace_id VARCHAR,
    universe_id VARCHAR,
    event_id VARCHAR,
    recorded_at TIMESTAMP WITH TIME ZONE,
    old_quantity VARCHAR,
    new_quantity VARCHAR,
    measurement VARCHAR,
    file VARCHAR
);
COMMENT ON TABLE causes IS 'the events, or the config, that caused each adjustment';

CREATE VIEW current_readings AS
SELECT readings.*
FROM periods
JOIN runs ON runs.run_id = periods.run_id
JOIN readings ON readings.run_id = runs.readings_of;
COMMENT ON VIEW current_readings IS 'the readings that count now: of each period those of its run';
