from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from edge_service.adapters.telemetry_structlog import Lines, RequestLog, Timestamps
from edge_service.app.record import Record, Tokens, Tried
from edge_service.domain.failover import Ending
from edge_service.domain.outcome import Disposition


async def test_what_informs_is_written_together_when_the_loop_has_had_its_turn() -> None:
    file = io.BytesIO()
    lines = Lines(file)
    lines.info(b"1")
    lines.info(b"2")
    assert file.getvalue() == b""
    await asyncio.sleep(0)
    assert file.getvalue() == b"1\n2\n"
    lines.info(b"3")
    await asyncio.sleep(0)
    assert file.getvalue() == b"1\n2\n3\n"


async def test_what_warns_is_written_at_once_behind_what_came_before() -> None:
    file = io.BytesIO()
    lines = Lines(file)
    lines.info(b"1")
    lines.warning(b"2")
    assert file.getvalue() == b"1\n2\n"
    await asyncio.sleep(0)
    assert file.getvalue() == b"1\n2\n"


async def test_what_waits_when_all_ends_is_written_then() -> None:
    file = io.BytesIO()
    lines = Lines(file)
    lines.info(b"1")
    lines.flush()
    assert file.getvalue() == b"1\n"


def test_without_a_loop_nothing_waits() -> None:
    file = io.BytesIO()
    Lines(file).info(b"1")
    assert file.getvalue() == b"1\n"


def test_what_cannot_be_written_is_lost_and_nothing_else() -> None:
    with open("/dev/full", "wb", buffering=0) as file:
        lines = Lines(file)
        lines.info(b"1")
        lines.error(b"2")
    lines.flush()  # Else it would be written to a file that is closed.


def line_of(record: Record, now: float, worker: int | None = None) -> dict[str, Any]:
    file = io.BytesIO()
    RequestLog(Lines(file), Timestamps(lambda: 1_700_000_000.25), worker).write(record, now)
    (line,) = file.getvalue().splitlines()
    told = json.loads(line)
    assert isinstance(told, dict)
    return told


def test_a_request_is_one_line_with_its_walk_and_what_it_cost() -> None:
    record = Record("r", 10.0)
    record.decision_id, record.name, record.status, record.ending = "d", "chat", 200, Ending.SERVED
    record.resolve_s, record.overhead_s, record.dropped = 0.001234, 0.0025, ("seed",)
    record.tried += [
        Tried("p/m#0", Disposition.OVERLOADED, 503, 0.0105, "theirs"),
        Tried("o/m#0", Disposition.UNREACHABLE, 0, 0.0, why="refused"),
        Tried("q/m#0", Disposition.OK, 0, 0.5, tokens=Tokens(7, 3, 2)),
    ]
    assert line_of(record, 11.0) == {
        "event": "request",
        "level": "info",
        "timestamp": "2023-11-14T22:13:20.250000Z",
        "request_id": "r",
        "decision_id": "d",
        "name": "chat",
        "operation": "generate",
        "stream": False,
        "status": 200,
        "ending": "served",
        "code": "",
        "walk": [
            {
                "target": "p/m#0",
                "disposition": "overloaded",
                "status": 503,
                "ms": 10.5,
                "provider_request_id": "theirs",
            },
            {
                "target": "o/m#0",
                "disposition": "unreachable",
                "status": 0,
                "ms": 0.0,
                "provider_request_id": "",
                "why": "refused",
            },
            {"target": "q/m#0", "disposition": "ok", "status": 0, "ms": 500.0, "provider_request_id": ""},
        ],
        "dropped": ["seed"],
        "input_tokens": 7,
        "output_tokens": 3,
        "cached_tokens": 2,
        "resolve_ms": 1.23,
        "overhead_ms": 2.5,
        "total_ms": 1000.0,
    }


def test_what_is_not_known_is_null_and_a_worker_is_told_where_there_are_several() -> None:
    told = line_of(Record("r", 0.0), 0.0)
    assert [told[name] for name in ("input_tokens", "output_tokens", "cached_tokens")] == [None] * 3
    assert "worker" not in told
    assert line_of(Record("r", 0.0), 0.0, worker=0)["worker"] == 0


@pytest.mark.parametrize(
    ("at", "told"), [(0.0, "1970-01-01T00:00:00.000000Z"), (1e9 + 0.5, "2001-09-09T01:46:40.500000Z")]
)
def test_times_are_of_the_moment(at: float, told: str) -> None:
    times = iter([at, at, at + 60])
    timestamps = Timestamps(lambda: next(times))
    assert timestamps.now() == timestamps.now() == told
    assert timestamps.now() != told
