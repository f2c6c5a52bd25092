"""A run in parts: its tasks, the driver that brings their parts together, and what it asks of a cluster."""
