#!/bin/sh
# Meter each day that is over. Standard output is for the mail, standard error for the log.
set -eu
cd "$(dirname "$0")"
export METERING_DUCK_LEDGER=usage.duckdb
today=${1:-$(date -u +%Y-%m-%d)}

echo "the night of $today" >&2
[ -e usage.duckdb ] || metering-duck ledger init
days=$(metering-duck backfill events --config config.json --from 2024-03-01 --to "$today" --every day --wait 1 --format table)
echo "$days" | awk '$2 == "done" && $8 + $9 > 0 { print $1 ": " $8 " in conflict, " $9 " rejected" }'
metering-duck ledger export readings -o readings.parquet
metering-duck ledger export rejects -o rejects.csv
