"""The names of the engines that compute: this machine's DuckDB, or a cluster.

Light on purpose: the command line reads it for its help. calls/engines.py opens the cluster of a name.
"""

from __future__ import annotations

# The engine of `--engine NAME` → what the help says of it.
ENGINES = {"duckdb": "this machine", "spark": "a Spark cluster"}
