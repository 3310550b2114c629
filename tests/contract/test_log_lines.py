"""Whoever speaks on a service's standard error speaks JSON, an object a line, and quotes nobody."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

EVERYBODY = """
import asyncio, gc, logging, os, sys, threading, warnings
from {service}.adapters import telemetry_structlog

def fail(*_):
    try:
        raise KeyError("canary")
    except KeyError as error:
        raise ExceptionGroup("canary", [ValueError("canary")]) from error

class Falls:
    def __del__(self):
        fail()

async def main():
    telemetry_structlog.configure()
    logging.getLogger("uvicorn.error").warning("of uvicorn")
    logging.getLogger("grpc.aio").error("of %s", "grpc")
    logging.getLogger("odd").log(35, "of a level in between")
    logging.getLogger("bad").error("that does not fit %d", "canary")
    logging.getLogger("chatty").info("not worth telling")
    warnings.warn("of a warning", stacklevel=1)
    try:
        fail()
    except ExceptionGroup:
        logging.getLogger("uvicorn.error").error("with an exception\\n", exc_info=True)
    try:
        open("/nowhere/at-all")
    except OSError:
        logging.getLogger("x").exception("with the system's words")
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    asyncio.get_running_loop().call_soon(fail, "canary")
    lost = asyncio.create_task(asyncio.to_thread(fail))
    await asyncio.sleep(0.05)
    del lost
    Falls()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    gc.collect()

asyncio.run(main())
fail()
"""


@pytest.mark.parametrize("service", ["edge_service", "resolver_service"])
async def test_every_line_is_a_json_object_that_quotes_nobody(service: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EVERYBODY.replace("{service}", service), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"canary" not in errors
    lines = [json.loads(line) for line in errors.splitlines()]
    told = {line["event"]: line for line in lines}
    assert (told["of uvicorn"]["level"], told["of uvicorn"]["logger"]) == ("warning", "uvicorn.error")
    assert told["of grpc"]["level"] == "error"
    assert told["of a level in between"]["level"] == "warning"
    assert "that does not fit %d" in told
    assert "not worth telling" not in told
    assert [line for line in lines if "UserWarning: of a warning" in line["event"]]
    for event in ("with an exception", "unraisable", "uncaught_in_thread", "uncaught"):
        trace = told[event]["exception"]
        kinds = [line for line in trace if not line.startswith("  ")]
        assert kinds == ["builtins.ExceptionGroup", "builtins.ValueError", "builtins.KeyError"]
        assert any(line.endswith(" in fail") for line in trace)
    assert told["with the system's words"]["exception"][0].startswith("builtins.FileNotFoundError: [Errno 2]")
    of_asyncio = [line["event"] for line in lines if line.get("logger") == "asyncio"]
    assert of_asyncio == ["Exception in callback fail", "Task exception was never retrieved"]
