"""Answers as people read them, and as programs do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from google.protobuf import json_format
from google.protobuf.message import Message

from forebay.resolver.v1 import pool_admin_service_pb2 as admin_pb
from forebay.resolver.v1 import resolver_service_pb2 as pb

NOTHING = "-"


def json(message: Message) -> str:
    """The message as JSON, in the spelling of the contract and with every field, so that none needs a default."""
    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, ensure_ascii=False
    )


def plan(response: pb.ResolveResponse) -> str:
    made = response.plan
    limit = f"within {_duration(made.total_ms)}" if made.total_ms else "without a time limit"
    rows = [
        (
            str(number),
            attempt.target_id,
            attempt.path,
            attempt.reasoning,
            "probe" if attempt.probe else "",
            attempt.credential_ref,
        )
        for number, attempt in enumerate(made.attempts, start=1)
    ]
    return "\n".join(
        (
            f"{_line(made.name)}: at most {_count(made.attempts_allowed, 'attempt')} {limit}",
            f"decision {made.decision_id}, revision {made.revision}",
            "",
            table(("#", "TARGET", "PATH", "REASONING", "PROBE", "CREDENTIAL"), rows),
        )
    )


def explanation(name: str, response: pb.ExplainResponse) -> str:
    places = {attempt.target_id: str(i) for i, attempt in enumerate(response.plan.attempts, start=1)}
    if response.HasField("plan"):
        head = f"{_line(response.plan.name)} is a {response.kind}, at revision {response.plan.revision}"
    else:
        head = f"{_line(name)} is a {response.kind}, and none of its targets is available"
    rows = [
        (
            places.get(target.target_id, ""),
            target.target_id,
            target.path,
            target.reason,
            _duration(target.retry_after_ms) if target.retry_after_ms else "",
        )
        for target in response.targets
    ]
    return "\n".join((head, "", table(("#", "TARGET", "PATH", "REASON", "RETRY AFTER"), rows)))


def models(response: pb.ListModelsResponse) -> str:
    if not response.models:
        return "nothing can be called: the configuration has no model"
    rows = [(model.id, model.kind, model.description or model.provider) for model in response.models]
    return table(("ID", "KIND", "DESCRIPTION OR PROVIDER"), rows)


def status(response: admin_pb.GetStatusResponse, *, every: bool) -> str:
    """Of the targets those that are not just ready, or all of them."""
    shown = [t for t in response.targets if every or t.state != "ready" or t.in_flight or t.recent]
    replicas = [_replica(r) for r in response.replicas]
    others = len(response.targets) - len(shown)
    tail = f"{_count(others, 'other target')}: ready, and not asked of late" if others else ""
    if response.targets_left_out:
        tail = f"{tail}\n{_count(response.targets_left_out, 'more target')} for which there is no room here".strip()
    rows = [
        (
            target.target_id,
            target.state,
            target.reason,
            _duration(target.retry_after_ms) if target.retry_after_ms else "",
            str(target.in_flight or ""),
            ", ".join(f"{outcome.count} {outcome.disposition}" for outcome in target.recent),
        )
        for target in shown
    ]
    listing = table(("TARGET", "STATE", "REASON", "RETRY AFTER", "IN FLIGHT", "LAST 5 MIN"), rows) if rows else ""
    return "\n\n".join(filter(None, ("\n".join(replicas), listing, tail)))


def _replica(replica: admin_pb.ReplicaStatus) -> str:
    seen = f", seen {_duration(replica.seen_ms_ago)} ago" if replica.seen_ms_ago else ""
    return f"{_line(replica.id)} at revision {replica.revision}{seen}{', degraded' if replica.degraded else ''}"


def revisions(response: admin_pb.ListRevisionsResponse, *, with_diffs: bool) -> str:
    if not with_diffs:
        rows = [(str(r.revision), _instant(r.created_at), r.author, r.summary) for r in response.revisions]
        return table(("REVISION", "MADE AT", "AUTHOR", "SUMMARY"), rows)
    told = []
    for r in response.revisions:
        head = f"revision {r.revision}, {_instant(r.created_at)}, {_line(r.author) or NOTHING}: {_line(r.summary)}"
        told.append("\n".join((head, *map(_shown, r.diff.splitlines()))))
    return "\n\n".join(told)


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(text: str) -> str:
    """A line as it is indented, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; empty cells are marked, so that every line splits into as many words."""
    lines = [head, *([_line(cell) or NOTHING for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _line(text: str) -> str:
    """On one line, and without what a terminal would obey."""
    return _shown(" ".join(text.split()))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _duration(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.10g} s"
