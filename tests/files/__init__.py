"""Tests of files: bytes, checksums and counts of rows."""
