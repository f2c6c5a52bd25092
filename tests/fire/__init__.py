"""Fire: random events, damaged files and killed processes, each judged by something that is not the engine.

`python -m tests.fire --minutes N` prints what was tried and what held. docs/reliability.md says what is promised.
"""
