"""A run in parts, on a Spark cluster."""
