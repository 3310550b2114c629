from __future__ import annotations

from typing import Any

import pytest

from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay_cli import commands
from forebay_cli.client import CallError


class Resolver:
    """Takes the place of the client; keeps what it was asked."""

    address = "127.0.0.1:8401"

    def __init__(self, health: str = "SERVING") -> None:
        self._health = health
        self.asked: list[pb.ResolveRequest] = []

    def resolve(self, request: pb.ResolveRequest) -> pb.ResolveResponse:
        self.asked.append(request)
        return pb.ResolveResponse()

    def explain(self, request: pb.ResolveRequest, management_key: str) -> pb.ExplainResponse:
        self.asked.append(request)
        return pb.ExplainResponse()

    def health(self, service: str) -> str:
        return self._health


@pytest.mark.parametrize("stream", [False, True])
def test_resolve_promises_no_report_so_that_it_gets_no_probe(*, stream: bool) -> None:
    resolver: Any = Resolver()
    assert commands.resolve(resolver, "chat", stream=stream, as_json=False) == 0
    (request,) = resolver.asked
    assert (request.model, request.stream, request.will_report) == ("chat", stream, False)
    assert request.request_id.startswith("forebay-")


def test_explain_asks_as_the_edge_does() -> None:
    resolver: Any = Resolver()
    assert commands.explain(resolver, "chat", as_json=True) == 0
    assert resolver.asked[0].will_report


def test_what_does_not_serve_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    resolver: Any = Resolver("NOT_SERVING")
    with pytest.raises(CallError, match=r"readiness at 127\.0\.0\.1:8401 is NOT_SERVING"):
        commands.health(resolver, "readiness")
    assert capsys.readouterr().out == ""


def test_a_check_that_was_killed_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed:
        returncode = -9

    monkeypatch.setattr(commands.subprocess, "run", lambda *_, **__: Killed())
    assert commands.check("file", {}) == 1
