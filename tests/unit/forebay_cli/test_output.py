from __future__ import annotations

import json

import pytest

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import pool_admin_service_pb2 as admin_pb
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay_cli import output


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert output.table(("A", "LONG"), [("wide", "x"), ("", "yyyyyy")]).splitlines() == [
        "A     LONG",
        "wide  x",
        "-     yyyyyy",
    ]


def test_a_table_without_rows_is_its_head() -> None:
    assert output.table(("A", "B"), []) == "A  B"


def test_a_cell_is_one_line_and_commands_no_terminal() -> None:
    table = output.table(("A",), [("two\nlines\t and \x1b[31mred\x07\u202e",)])
    assert table.splitlines()[1:] == ["two lines and ?[31mred??"]


@pytest.mark.parametrize(
    ("plan", "head"),
    [
        (plan_pb2.Plan(name="n", attempts_allowed=1, total_ms=90_500), "n: at most 1 attempt within 90.5 s"),
        (plan_pb2.Plan(name="n", attempts_allowed=10, total_ms=604_800_000), "n: at most 10 attempts within 604800 s"),
        (plan_pb2.Plan(name="n", attempts_allowed=2), "n: at most 2 attempts without a time limit"),
    ],
)
def test_a_plan_says_how_far_to_go(plan: plan_pb2.Plan, head: str) -> None:
    assert output.plan(pb.ResolveResponse(plan=plan)).splitlines()[0] == head


def test_a_plan_marks_the_probe() -> None:
    attempts = [plan_pb2.Attempt(target_id="a", path="p", probe=True), plan_pb2.Attempt(target_id="b", path="p")]
    lines = output.plan(pb.ResolveResponse(plan=plan_pb2.Plan(attempts=attempts))).splitlines()
    assert [line.split() for line in lines[3:]] == [
        ["#", "TARGET", "PATH", "REASONING", "PROBE", "CREDENTIAL"],
        ["1", "a", "p", "-", "probe", "-"],
        ["2", "b", "p", "-", "-", "-"],
    ]


def test_an_explanation_numbers_the_targets_that_the_plan_has() -> None:
    response = pb.ExplainResponse(
        plan=plan_pb2.Plan(name="N", revision=3, attempts=[plan_pb2.Attempt(target_id="b")]),
        kind="pool",
        targets=[
            pb.TargetExplanation(target_id="b", path="N/b", available=True, reason="number 1"),
            pb.TargetExplanation(target_id="a", path="N/a", reason="cooling: quota", retry_after_ms=1500),
        ],
    )
    assert output.explanation("n", response).splitlines() == [
        "N is a pool, at revision 3",
        "",
        "#  TARGET  PATH  REASON          RETRY AFTER",
        "1  b       N/b   number 1        -",
        "-  a       N/a   cooling: quota  1.5 s",
    ]


def test_an_explanation_without_a_plan_says_so() -> None:
    head = output.explanation(" n ", pb.ExplainResponse(kind="cluster")).splitlines()[0]
    assert head == "n is a cluster, and none of its targets is available"


def test_of_a_configuration_without_models_nothing_is_listed() -> None:
    assert output.models(pb.ListModelsResponse()) == "nothing can be called: the configuration has no model"


def test_json_has_every_field_in_the_spelling_of_the_contract() -> None:
    entry = pb.ModelEntry(id="größe", kind="pool", created_at=5)
    text = output.json(pb.ListModelsResponse(models=[entry], revision=2))
    assert "größe" in text
    assert json.loads(text) == {
        "models": [
            {
                "id": "größe",
                "kind": "pool",
                "description": "",
                "created_at": "5",
                "provider": "",
                "context_tokens": 0,
                "max_output_tokens": 0,
            }
        ],
        "revision": "2",
    }


def test_targets_for_which_there_was_no_room_are_counted() -> None:
    ready = admin_pb.TargetStatus(target_id="p/m#0", state="ready")
    response = admin_pb.GetStatusResponse(targets=[ready], targets_left_out=250_000)
    assert output.status(response, every=False).splitlines() == [
        "1 other target: ready, and not asked of late",
        "250000 more targets for which there is no room here",
    ]


def test_models_are_listed_with_what_describes_them_or_who_serves_them() -> None:
    models = [pb.ModelEntry(id="chat", kind="cluster", description="talk"), pb.ModelEntry(id="m", provider="p")]
    assert output.models(pb.ListModelsResponse(models=models)).splitlines() == [
        "ID    KIND     DESCRIPTION OR PROVIDER",
        "chat  cluster  talk",
        "m     -        p",
    ]


def test_a_status_tells_of_resolvers_and_of_targets_that_are_not_just_ready() -> None:
    recent = [admin_pb.OutcomeCount(disposition="ok", count=3), admin_pb.OutcomeCount(disposition="quota", count=1)]
    response = admin_pb.GetStatusResponse(
        replicas=[
            admin_pb.ReplicaStatus(id="one", revision=7),
            admin_pb.ReplicaStatus(id="two", revision=6, seen_ms_ago=1500, degraded=True),
        ],
        targets=[
            admin_pb.TargetStatus(target_id="a", state="cooling", reason="quota", retry_after_ms=2000),
            admin_pb.TargetStatus(target_id="b", state="ready", in_flight=2),
            admin_pb.TargetStatus(target_id="c", state="ready", recent=recent),
            admin_pb.TargetStatus(target_id="d", state="ready"),
            admin_pb.TargetStatus(target_id="e", state="ready"),
        ],
    )
    *lines, tail = output.status(response, every=False).splitlines()
    assert lines[:3] == ["one at revision 7", "two at revision 6, seen 1.5 s ago, degraded", ""]
    assert lines[3:] == [
        "TARGET  STATE    REASON  RETRY AFTER  IN FLIGHT  LAST 5 MIN",
        "a       cooling  quota   2 s          -          -",
        "b       ready    -       -            2          -",
        "c       ready    -       -            -          3 ok, 1 quota",
        "",
    ]
    assert tail == "2 other targets: ready, and not asked of late"
    assert [line[0] for line in output.status(response, every=True).splitlines()[4:]] == ["a", "b", "c", "d", "e"]


def test_revisions_are_told_in_a_table_or_with_what_they_changed() -> None:
    revisions = [
        admin_pb.Revision(revision=2, created_at=90_061, author="me", summary="a pool", diff="-a\n+  b\x1b\n"),
        admin_pb.Revision(revision=1, summary="the file"),
    ]
    response = admin_pb.ListRevisionsResponse(revisions=revisions)
    assert output.revisions(response, with_diffs=False).splitlines() == [
        "REVISION  MADE AT               AUTHOR  SUMMARY",
        "2         1970-01-02T01:01:01Z  me      a pool",
        "1         1970-01-01T00:00:00Z  -       the file",
    ]
    assert output.revisions(response, with_diffs=True).splitlines() == [
        "revision 2, 1970-01-02T01:01:01Z, me: a pool",
        "-a",
        "+  b?",
        "",
        "revision 1, 1970-01-01T00:00:00Z, -: the file",
    ]
