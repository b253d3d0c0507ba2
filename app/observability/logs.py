"""Structured logs: JSON for machines, colours on a terminal, the call id on every line, no personal data."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from app.observability.log_writer import LogWriter
from app.observability.printable import escaped
from app.observability.secret_names import HIDDEN, hide_secrets, is_secret
from app.observability.trace_ids import with_trace_id

_NUMBER = re.compile(r"(?P<call_id>\bcall_[0-9a-f]{24}\b)|\+?\d(?:[\s().-]{0,2}\d){7,}")
"""Anything that looks like a telephone number, that is, eight digits or more; or a call id, which is not one."""
_TALKATIVE_LIBRARIES = (
    "aiosqlite", "alembic", "asyncio", "asyncpg", "cartesia", "deepgram", "httpcore", "httpcore2", "httpx", "httpx2",
    "livekit", "openai", "requests", "urllib3", "websockets",
)  # fmt: skip
_UNMASKED = {"timestamp", "call_id", "event_id", "request_id", "request_ids", "session_id", "trace_id"}
"""Keys whose values are ids or times: digits, but not telephone numbers."""

Event = MutableMapping[str, Any]


def mask_personal_data(_logger: Any, _method: str, event: Event) -> Event:
    """Mask telephone numbers and secrets in every text of a line."""
    for key, value in event.items():
        event[key] = _masked_under(key, value)
    return event


def _masked_under(key: Any, value: Any) -> Any:
    if key in _UNMASKED:
        return _escaped(value)
    is_hidden = isinstance(key, str) and not isinstance(value, int | float | None) and is_secret(key)
    return HIDDEN if is_hidden else _masked(value)


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return escaped(value)
        case list() | tuple():
            return [_escaped(item) for item in value]
        case _:
            return value


def _masked(value: Any) -> Any:
    match value:
        case str():
            return mask(value)
        case dict():
            return {key: _masked_under(key, item) for key, item in value.items()}
        case list() | tuple():
            return [_masked(item) for item in value]
        case _:
            return value


def mask(text: str) -> str:
    """The text with telephone numbers and secrets masked; a number keeps its last two digits. Escapes controls too."""
    masked = _NUMBER.sub(lambda match: match["call_id"] or f"***{match.group()[-2:]}", hide_secrets(text))
    return escaped(masked)


def configure_logging(level: str, *, pretty: bool | None = None, is_traced: bool = False) -> None:
    """Send the logs of the service and of its libraries to stderr; pretty by default on a terminal.

    If calls are traced, a line with a call's id also has that of its trace.
    """
    if pretty is None:
        pretty = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        *([with_trace_id] if is_traced else []),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_personal_data,
    ]
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer()] if pretty else [structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = LogWriter(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in _TALKATIVE_LIBRARIES:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # uvicorn passes this logger to the websocket library, which at DEBUG would log whole frames, and so what was said.
    logging.getLogger("uvicorn.error").setLevel(max(root.level, logging.INFO))
