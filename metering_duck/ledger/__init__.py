"""The ledger: backfill, close, rerun as of, restate, trace. ledger.py has what is public."""
