"""Log lines: one JSON object each, on standard error, so that nothing in a value can pass for another line.

What libraries and the interpreter have to say takes the same form. Of an exception it is told what was raised and
where, not in which words: they may quote a request.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import TextIO, cast

import structlog

from resolver_service.app.ports import HealthChanged
from resolver_service.domain.policy import Disposition

LONGEST_MESSAGE = 500
"""Characters. Of a library's message the first line tells what happened; asyncio's others quote whole objects."""
MOST_FRAMES = 50

_log = structlog.get_logger("forebay.resolver.health")

_LASTING = {
    Disposition.CREDENTIAL: "credential_refused",
    Disposition.QUOTA: "credential_without_quota",
    Disposition.MODEL_MISSING: "model_missing",
}
"""Failures that do not pass by themselves have events of their own, to raise an alarm by."""


def configure() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(lambda info: list(_raised(info[1], set()))),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, Lines(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    logging.getLogger().handlers[:] = [_Libraries()]
    sys.excepthook = lambda kind, error, trace: _log.critical("uncaught", exc_info=error)
    sys.unraisablehook = lambda told: _log.error("unraisable", exc_info=told.exc_value)
    threading.excepthook = lambda told: _log.error("uncaught_in_thread", exc_info=told.exc_value)


class Lines:
    """Writes to a file. What cannot be written, as on a full disk, is lost: there is nowhere to tell of it, and all
    else goes on."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


def health_changed(change: HealthChanged) -> None:
    """A `Tell`."""
    said = {"scope": change.scope, "target": change.target_id}
    if change.reason is not None:
        said["reason"] = change.reason.value
    if change.state == "cooling":
        event = _LASTING.get(change.reason, "cooling") if change.reason else "cooling"
        _log.warning(event, **said, for_s=round(change.for_s, 3))
    else:
        _log.info(change.state, **said)


class _Libraries(logging.Handler):
    """Hands what the standard library's `logging` is told to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit: it could be any
            message = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.INFO), logging.CRITICAL)
        first = message.strip().partition("\n")[0][:LONGEST_MESSAGE]
        if record.name == "asyncio":
            first = first.partition("(")[0]  # Behind it are a callback's arguments.
        _log.log(level, first, logger=record.name, exc_info=record.exc_info)


def _raised(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    words = f": {error}" if isinstance(error, OSError) else ""  # The system's.
    yield f"{type(error).__module__}.{type(error).__qualname__}{words}"
    frames = traceback.walk_tb(error.__traceback__)
    for frame in traceback.StackSummary.extract(frames, limit=-MOST_FRAMES, lookup_lines=False):
        yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
    for inner in getattr(error, "exceptions", ()):
        yield from _raised(inner, seen)
    yield from _raised(error.__cause__ or (None if error.__suppress_context__ else error.__context__), seen)
