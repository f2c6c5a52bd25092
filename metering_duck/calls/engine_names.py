"""The names of the engines that compute: this machine's DuckDB, or a cluster.

Light on purpose: the command line reads it for its help. calls/engines.py opens the cluster of a name.
"""

from __future__ import annotations

ENGINES = ("duckdb", "spark")
