"""Logs: one JSON object a line, whoever writes it."""

import logging
from typing import Any

import structlog

SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def processors(*, traced: bool) -> list[Any]:
    """Return what each line of a log goes through; `traced`: it names the trace and the span in which it is written."""
    if not traced:
        return SHARED_PROCESSORS
    from audit import tracing

    return [*SHARED_PROCESSORS, tracing.log_ids]


def configure(level: str, *, traced: bool = False) -> dict[str, Any]:
    """Have structlog write so; return Django's LOGGING for all other loggers.

    For the settings alone: a logger that has written keeps the configuration of its first line, so what is
    configured a second time holds for some loggers only.
    """
    shared = processors(traced=traced)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # What is for debugging alone costs a call, and nothing is made of it.
        wrapper_class=structlog.make_filtering_bound_logger(min(logging.getLevelName(level), logging.INFO)),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processor": structlog.processors.JSONRenderer(),
                "foreign_pre_chain": shared,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {"django.server": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
    }
