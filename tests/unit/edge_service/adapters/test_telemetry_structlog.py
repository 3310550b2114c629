from __future__ import annotations

import asyncio
import io

from edge_service.adapters.telemetry_structlog import Lines


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
