"""Readings of shorter windows become those of longer ones, exactly."""
