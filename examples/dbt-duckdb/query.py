"""Show what a query finds in the database that dbt builds."""

import sys

import duckdb

duckdb.connect("billing.duckdb", read_only=True).sql(sys.argv[1]).show()
