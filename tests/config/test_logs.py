"""What the processes' logs leave out: the ordinary course of tasks, of which some run twice a second."""

import logging

import pytest
from celery.app import trace

from config import logs


def record(message: object, level: int = logging.INFO) -> logging.LogRecord:
    """A line as a logger makes it."""
    return logging.LogRecord("celery", level, __file__, 1, message, (), None)


@pytest.mark.parametrize(
    "message", [trace.LOG_SUCCESS, trace.LOG_RECEIVED, "Scheduler: Sending due task %s (%s)"], ids=str
)
def test_the_ordinary_course_of_a_task_is_no_news(message: str) -> None:
    assert not logs.is_news(record(message))
    assert logs.is_news(record(message, logging.WARNING))


def test_what_goes_wrong_and_who_is_ready_is() -> None:
    assert logs.is_news(record(trace.LOG_FAILURE, logging.ERROR))
    assert logs.is_news(record("%s ready."))
