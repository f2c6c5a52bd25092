"""The only rooms that talk to DuckDB and to object stores."""
