"""The threat of a configuration that points the edge at what only the edge can reach: private addresses, which take
consent. What must not be called whatever is consented to is in test_unreachable.py."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.faulty_upstream import says
from tests.support.setup import Setup, setup, until


async def serves_from(it: Setup, target: str) -> None:
    async def does() -> bool:
        response = await it.chat()
        return bool(response.headers.get("x-forebay-target") == target)

    await until(does)


async def test_a_private_provider_without_consent_is_passed_over_and_never_connected_to(tmp_path: Path) -> None:
    async with setup(tmp_path, says("private"), says("allowed")) as it:
        text = it.config.read_text()
        it.config.write_text(text.replace("allow-private: true", "allow-private: false", 1))
        await serves_from(it, "p1/m#0")
        before = it.providers[0].accepted
        for _ in range(3):
            response = await it.chat()
            assert (response.status_code, response.headers["x-forebay-target"]) == (200, "p1/m#0")
        assert it.providers[0].accepted == before
        it.config.write_text(text.replace("allow-private: true", "allow-private: false"))

        async def is_refused() -> bool:
            response = await it.chat("m")
            return "allow-private" in response.text and response.status_code == 502

        await until(is_refused)
    refusals = [line for line in (tmp_path / "edge.log").read_text().splitlines() if "egress_refused" in line]
    assert len(refusals) == 1
    assert json.loads(refusals[0])["host"] == "127.0.0.1"
