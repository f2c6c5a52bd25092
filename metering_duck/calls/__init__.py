"""The public functions: they check what they are given, and return results that compute when they are read."""
