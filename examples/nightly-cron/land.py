"""Put one day's events into the tree of Parquet, as whoever fills the lake does."""

import sys

import duckdb

duckdb.execute(
    "COPY (FROM read_csv('events.csv', all_varchar = true) WHERE date = $day) "
    "TO 'events' (FORMAT parquet, PARTITION_BY (date), OVERWRITE_OR_IGNORE)",
    {"day": sys.argv[1]},
)
