from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource
from edge_service.adapters.memory_glibc import keep

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        blocks = [b"x" * 200_000 for _ in range(10)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

without = pages()
keep()
print(without, pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_what_large_requests_leave_is_there_for_the_next_ones() -> None:
    run = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, check=True)
    without, kept = map(int, run.stdout.split())
    assert kept < without / 10
