"""The questions, in the order in which they are asked and shown; each module has one, as QUESTION."""

from __future__ import annotations

from importlib import import_module

from benchmarks.question import Question

ORDER = (
    "counters_by_subject_day",
    "conditional_counters",
    "property_shapes",
    "time_weighted_by_month",
    "time_weighted_by_hour",
    "states",
    "deduplication",
    "rejects",
    "billing_periods",
    "one_month_of_a_year",
    "lakes",
    "rollup",
    "gate",
    "start_up",
    "memory",
    "spark_workers",
    "ten_times",
    "growth_rows",
    "growth_subjects",
    "growth_measurements",
    "growth_windows",
)

QUESTIONS: dict[str, Question] = {
    question.name: question
    for question in (import_module(f"benchmarks.questions.{module}").QUESTION for module in ORDER)
}
