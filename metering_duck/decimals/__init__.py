"""Exact numbers: in Python, as columns of DuckDB, and as quotients of two columns."""
