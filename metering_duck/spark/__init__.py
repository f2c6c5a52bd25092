"""Spark as a cluster: its sessions, what it reads, and its errors in our words."""
