from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from benchmarks import processes

STUBBORN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.open(sys.argv[1], os.O_WRONLY)
    print("serves on loopback", flush=True)
signal.pause()
"""


def test_one_that_will_not_end_is_killed_with_what_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.05)
    os.mkfifo(tmp_path / "held")
    reading = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    with processes.running(
        [sys.executable, "-c", STUBBORN, str(tmp_path / "held")], cores=(), log=tmp_path / "log"
    ) as process:
        processes.address_of(process)
        assert select.select([reading], [], [], 0)[0] == []
    # Readable once nobody has it open for writing.
    assert select.select([reading], [], [], 5)[0] == [reading]
    os.close(reading)


def test_one_that_has_ended_has_no_memory_rather_than_none_of_it() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # It is a zombie now.
    try:
        with pytest.raises(ProcessLookupError):
            processes.rss_bytes(child)
    finally:
        os.waitpid(child, 0)
    with pytest.raises(ProcessLookupError):
        processes.rss_bytes(child)
    assert processes.rss_bytes(os.getpid()) > 0


def test_the_last_that_each_had_to_say(tmp_path: Path) -> None:
    for name, said in (("0.log", "starting\nno such file: x\n"), ("1.log", "")):
        (tmp_path / name).write_text(said)
    assert processes.last_line(tmp_path) == "no such file: x"
