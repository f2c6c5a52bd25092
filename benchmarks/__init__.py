"""How fast metering-duck is, and next to what: run it with `python -m benchmarks`. See README.md beside this file."""
