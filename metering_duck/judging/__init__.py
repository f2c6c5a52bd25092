"""Fields become judged events: one row per event, a DECIMAL per measurement, and a verdict."""
