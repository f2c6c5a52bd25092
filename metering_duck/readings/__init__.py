"""Judged events become readings: counters, gauges, values, and the windows without usage."""
