"""Slots: where each measurement's columns are in the wide projection."""

from __future__ import annotations

UNIT_COLUMN = "unit"
