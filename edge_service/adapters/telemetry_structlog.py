"""Log lines: one JSON object each, on standard error, so that nothing in a value can pass for another line.

What libraries and the interpreter have to say takes the same form. Of an exception it is told what was raised and
where, not in which words: they may quote a request.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from edge_service.app.record import Record

LONGEST_MESSAGE = 500
"""Characters. Of a library's message the first line tells what happened; asyncio's others quote whole objects."""
MOST_FRAMES = 50

_log = structlog.get_logger("forebay.edge.process")
_encoder = msgspec.json.Encoder(enc_hook=str)


def configure(worker: int | None = None) -> RequestLog:
    """`worker` stands in each line: there are several."""
    lines, timestamps = Lines(sys.stderr.buffer), Timestamps(time.time)
    structlog.configure(
        processors=[
            *([] if worker is None else [lambda _, __, event: {**event, "worker": worker}]),
            _Completion(timestamps),
            _encode,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    atexit.register(lines.flush)
    logging.captureWarnings(True)
    logging.getLogger().handlers[:] = [_Libraries()]
    sys.excepthook = lambda kind, error, trace: _log.critical("uncaught", exc_info=error)
    sys.unraisablehook = lambda told: _log.error("unraisable", exc_info=told.exc_value)
    threading.excepthook = lambda told: _log.error("uncaught_in_thread", exc_info=told.exc_value)
    return RequestLog(lines, timestamps, worker)


class Lines:
    """Writes lines to a file. Info lines, one for each request, are written together after a turn of the event loop;
    all others at once, behind those that came before them. What cannot be written, as on a full disk, is lost: there is
    nowhere to tell of it, and requests go on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []

    def info(self, line: bytes) -> None:
        with self._lock:
            self._waiting.append(line)
            is_first = len(self._waiting) == 1
        if is_first:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # There is none.
                self.flush()

    def warning(self, line: bytes) -> None:
        with self._lock:
            self._waiting.append(line)
        self.flush()

    error = critical = warning

    def flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if waiting:
                with contextlib.suppress(OSError):
                    self._file.write(b"\n".join([*waiting, b""]))
                    self._file.flush()


class Timestamps:
    """ISO 8601, UTC, to the microsecond."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = -1
        self._date = ""
        """Written once a second."""

    def now(self) -> str:
        second, fraction = divmod(self._clock(), 1)
        if second != self._second:
            self._second, self._date = int(second), time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._date}.{int(fraction * 1e6):06d}Z"


class _Walked(msgspec.Struct, omit_defaults=True):
    target: str
    disposition: str
    status: int
    ms: float
    provider_request_id: str
    why: str = ""


class _Request(msgspec.Struct):
    request_id: str
    decision_id: str
    name: str
    operation: str
    stream: bool
    status: int
    ending: str
    code: str
    walk: list[_Walked]
    dropped: tuple[str, ...]
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    resolve_ms: float
    overhead_ms: float
    total_ms: float
    timestamp: str
    worker: int | UnsetType
    event: str = "request"
    level: str = "info"


class RequestLog:
    """Writes a line for each request. With its fixed fields it needs no processors, which costs a third."""

    def __init__(self, lines: Lines, timestamps: Timestamps, worker: int | None = None) -> None:
        self._lines = lines
        self._timestamps = timestamps
        self._worker = UNSET if worker is None else worker

    def write(self, record: Record, now: float) -> None:
        """`now` is on the gateway's clock."""
        tokens = record.tokens
        line = _Request(
            record.request_id,
            record.decision_id,
            record.name,
            record.operation,
            record.stream,
            record.status,
            record.ending,
            record.code,
            [
                _Walked(t.target_id, t.disposition, t.status, _ms(t.seconds), t.provider_request_id, t.why)
                for t in record.tried
            ],
            record.dropped,
            None if tokens is None else tokens.input,
            None if tokens is None else tokens.output,
            None if tokens is None else tokens.cached,
            _ms(record.resolve_s),
            _ms(record.overhead_s),
            _ms(now - record.arrived_at),
            self._timestamps.now(),
            self._worker,
        )
        self._lines.info(_encoder.encode(line))


def _ms(seconds: float) -> float:
    """To the hundredth. `round` takes twice as long: it goes by way of the digits."""
    return int(seconds * 100_000 + 0.5) / 100


class _Completion:
    """Adds level, time and exception. One processor for the three costs half."""

    def __init__(self, timestamps: Timestamps) -> None:
        self._timestamps = timestamps
        self._exception = structlog.processors.ExceptionRenderer(lambda info: list(_raised(info[1], set())))

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        event["level"] = method
        event["timestamp"] = self._timestamps.now()
        return self._exception(logger, method, event) if "exc_info" in event else event


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


def _encode(_: object, __: str, event: Any) -> bytes:
    return _encoder.encode(event)
