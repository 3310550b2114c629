"""`forebay` against a resolver in a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from forebay.resolver.v1 import plan_pb2, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay_cli.__main__ import main
from tests.contract.serving import TIMEOUT_S
from tests.support.processes import start_resolver

CONFIG = """
providers:
  - {id: p, dialect: openai, base-url: "https://p.example/v1", credentials: [env:P_API_KEY], models: [raw]}
  - {id: q, dialect: openai, base-url: "https://q.example/v1", models: [other]}
model-pools:
  pools:
    - {id: Turns, members: [{provider: p, model: m}, {provider: q, model: m}]}
    - {id: turns-too, members: [{provider: p, model: m2}, {provider: q, model: m2}]}
    - {id: cooling, members: [{provider: p, model: c}, {provider: q, model: c, disabled: true}]}
    - {id: broken, members: [{provider: p, model: b}]}
    - {id: probed, members: [{provider: p, model: w}]}
    - {id: operated, members: [{provider: p, model: o}]}
    - {id: seen, members: [{provider: p, model: seen}]}
  clusters:
    - {id: chat, description: for talking, members: [{pool: Turns}]}
"""
TOKEN = "the-shared-token"
KEY = "the-management-key"
SECRETS = {"FOREBAY_TOKEN": TOKEN, "FOREBAY_MANAGEMENT_KEY": KEY}

Forebay = Callable[..., "tuple[int, str, str]"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def resolver(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a resolver that all tests of this module share; each has names of its own."""
    directory = tmp_path_factory.mktemp("resolver")
    config = directory / "forebay.yaml"
    config.write_text(CONFIG)
    process = await start_resolver(config, "--drain", "0", errors=directory / "log", **SECRETS)
    try:
        yield process.address
    finally:
        assert await process.stop() == 0


@pytest.fixture
def forebay(resolver: str, capfd: pytest.CaptureFixture[str]) -> Forebay:
    def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        try:
            status = main(arguments, {"FOREBAY_RESOLVER": resolver, "FOREBAY_TOKEN": TOKEN, **environment})
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        out, errors = capfd.readouterr()
        return status, out, errors

    return run


def cool(resolver: str, name: str, disposition: plan_pb2.Disposition, retry_after_ms: int) -> None:
    """The first target of a name has failed."""
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    with grpc.insecure_channel(resolver) as channel:
        stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
        plan = stub.Resolve(pb.ResolveRequest(model=name), timeout=TIMEOUT_S, metadata=metadata).plan
        failed = pb.AttemptFailed(
            target_id=plan.attempts[0].target_id, disposition=disposition, retry_after_ms=retry_after_ms
        )
        report = pb.OutcomeReport(decision_id=plan.decision_id, failed=failed)
        stub.Report(pb.ReportRequest(reports=[report]), timeout=TIMEOUT_S, metadata=metadata)


def test_resolve_prints_the_plan_and_takes_a_turn(forebay: Forebay) -> None:
    status, out, errors = forebay("resolve", "chat(high)")
    assert (status, errors) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "chat: at most 10 attempts within 600 s"
    assert re.fullmatch(r"decision [0-9a-f]+-[0-9a-f]+, revision 1", lines[1])
    assert lines[2:] == [
        "",
        "#  TARGET  PATH          REASONING  PROBE  CREDENTIAL",
        "1  p/m#0   chat/Turns/p  high       -      env:P_API_KEY",
        "2  q/m#0   chat/Turns/q  high       -      -",
    ]
    assert forebay("resolve", "chat")[1].splitlines()[4].startswith("1  q/m#0")


def test_explain_takes_no_turn(forebay: Forebay) -> None:
    outputs = {forebay("explain", "TURNS-TOO", "--plaintext-network") for _ in range(3)}
    assert outputs == {
        (
            0,
            "turns-too is a pool, at revision 1\n"
            "\n"
            "#  TARGET  PATH         REASON    RETRY AFTER\n"
            "1  p/m2#0  turns-too/p  number 1  -\n"
            "2  q/m2#0  turns-too/q  number 2  -\n",
            "",
        )
    }


def test_resolve_as_json_is_the_message_of_the_contract(forebay: Forebay) -> None:
    status, out, _ = forebay("resolve", "raw", "--stream", "--json")
    assert status == 0
    plan = json.loads(out)["plan"]
    assert plan["name"] == "raw"
    assert plan["attempts"][0]["target_id"] == "p/raw#0"
    assert plan["attempts"][0]["probe"] is False, "every field is there"


def test_a_flag_may_be_given_by_the_environment(forebay: Forebay) -> None:
    assert json.loads(forebay("models", FOREBAY_JSON="true")[1])["revision"] == "1"


def test_when_all_of_a_name_cools_resolve_says_for_how_long_and_explain_says_why(
    forebay: Forebay, resolver: str
) -> None:
    cool(resolver, "cooling", plan_pb2.DISPOSITION_RATE_LIMITED, 300_000)
    status, out, errors = forebay("resolve", "cooling")
    assert (status, out) == (1, "")
    assert re.fullmatch(
        r"forebay: every target of 'cooling' has reached a limit; try again in \d+ s; "
        r"'forebay explain NAME' says why\n",
        errors,
    )
    status, out, _ = forebay("explain", " cooling ")
    assert status == 0
    lines = [re.sub(r"\d+(\.\d+)? s$", "N s", line) for line in out.splitlines()]
    assert lines[0] == "cooling is a pool, and none of its targets is available"
    assert [line.split(maxsplit=3) for line in lines[3:]] == [
        ["-", "p/c#0", "cooling/p", "cooling: rate-limited  N s"],
        ["-", "q/c#0", "cooling/q", "disabled               -"],
    ]
    explained = json.loads(forebay("explain", "cooling", "--json")[1])
    assert "plan" not in explained
    assert 0 < int(explained["targets"][0]["retry_after_ms"]) <= 300_000


def test_a_broken_name_is_no_unreachable_resolver(forebay: Forebay, resolver: str) -> None:
    cool(resolver, "broken", plan_pb2.DISPOSITION_OVERLOADED, 300_000)
    status, _, errors = forebay("resolve", "broken")
    assert status == 1
    assert errors.startswith("forebay: every target of 'broken' is out of service; try again in ")


def test_an_unknown_name_is_answered_with_the_closest(forebay: Forebay) -> None:
    said = "forebay: the model 'chatt' does not exist; the closest names are: chat\n"
    assert forebay("resolve", "chatt") == (1, "", said)
    assert forebay("explain", "chatt") == (1, "", said)
    assert forebay("resolve", "zzzz")[2] == (
        "forebay: the model 'zzzz' does not exist; 'forebay models' lists what can be called\n"
    )


def test_no_name_is_no_name(forebay: Forebay) -> None:
    assert forebay("resolve", "") == (1, "", "forebay: model: a model name is required\n")


def test_models_lists_what_can_be_called(forebay: Forebay) -> None:
    assert forebay("models") == (
        0,
        "ID         KIND     DESCRIPTION OR PROVIDER\n"
        "Turns      pool     -\n"
        "turns-too  pool     -\n"
        "cooling    pool     -\n"
        "broken     pool     -\n"
        "probed     pool     -\n"
        "operated   pool     -\n"
        "seen       pool     -\n"
        "chat       cluster  for talking\n"
        "raw        model    p\n"
        "other      model    q\n",
        "",
    )


def test_an_operator_clears_drains_and_puts_back(forebay: Forebay, resolver: str) -> None:
    cool(resolver, "operated", plan_pb2.DISPOSITION_CREDENTIAL, 0)
    assert forebay("resolve", "probed")[0] == 1, "which has the same credential"
    with_key = {"FOREBAY_MANAGEMENT_KEY": KEY}
    assert forebay("clear", "p/o#0", **with_key) == (0, "p/o#0 is cleared\n", "")
    assert [forebay("resolve", name)[0] for name in ("operated", "probed")] == [0, 0]
    assert forebay("drain", "p/o#0", **with_key) == (0, "p/o#0 is drained\n", "")
    assert forebay("resolve", "operated")[2] == (
        "forebay: every target of 'operated' is out of service; 'forebay explain NAME' says why\n"
    )
    assert forebay("explain", "operated")[1].splitlines()[-1].split()[3:] == ["drained", "-"]
    assert forebay("undrain", "p/o#0", **with_key) == (0, "p/o#0 is back\n", "")
    assert forebay("resolve", "operated")[0] == 0


def test_a_change_that_is_refused_says_what_is_wrong(forebay: Forebay) -> None:
    assert forebay("drain", "p/gone#0", FOREBAY_MANAGEMENT_KEY=KEY) == (
        1,
        "",
        "forebay: no name leads to a target 'p/gone#0'; 'forebay explain NAME' lists those behind a name\n",
    )
    for wrong in ("wrong", TOKEN):
        status, _, errors = forebay("clear", "p/m#0", FOREBAY_MANAGEMENT_KEY=wrong)
        assert (status, errors) == (1, "forebay: the management key is missing or wrong\n")


def test_without_the_token_it_says_what_to_set(forebay: Forebay) -> None:
    status, out, errors = forebay("models", FOREBAY_TOKEN="")
    assert (status, out) == (1, "")
    assert errors == "forebay: the shared token is missing or wrong: set FOREBAY_TOKEN to the resolver's\n"


def test_health_needs_no_token(forebay: Forebay, resolver: str) -> None:
    assert forebay("health", FOREBAY_TOKEN="") == (0, f"readiness at {resolver} is SERVING\n", "")
    assert forebay("health", "--service", "") == (0, f"the resolver at {resolver} is SERVING\n", "")
    assert forebay("health", FOREBAY_SERVICE="liveness")[1] == f"liveness at {resolver} is SERVING\n"
    status, out, errors = forebay("health", "--service", "nonsense")
    assert (status, out) == (1, "")
    assert "--service is readiness, liveness or ''" in errors


def test_where_nobody_listens_it_says_how_to_start_a_resolver(forebay: Forebay) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        for command in (["models"], ["health"], ["resolve", "chat"]):
            status, out, errors = forebay(*command, "--resolver", address)
            assert (status, out) == (1, "")
            assert errors.startswith(f"forebay: no resolver can be reached at {address}: start it with ")
            assert errors.count("\n") == 1


def test_whoever_does_not_answer_is_not_waited_for(forebay: Forebay) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        status, _, errors = forebay("models", "--resolver", address, "--timeout", "0.2")
    assert (status, errors) == (1, f"forebay: {address} did not answer within 0.2 s: allow more with --timeout\n")


def test_a_proxy_for_the_way_out_is_not_used_for_the_resolver(
    forebay: Forebay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert forebay("models")[0] == 0


def test_check_passes_on_what_the_resolver_says_of_a_file(forebay: Forebay, tmp_path: Path) -> None:
    file = tmp_path / "-odd name.yaml"
    file.write_text(CONFIG)
    environment = {"PATH": os.environ["PATH"], "FOREBAY_RESOLVER_LISTEN": "what a resolver is told does not matter"}
    status, out, errors = forebay("check", str(file), **environment)
    assert (status, out, errors) == (0, f"{file}: valid: 2 providers, 2 models, 7 pools, 1 cluster\n", "")
    file.write_text("providers: 1\nmodel-pool: 2\n")
    status, out, errors = forebay("check", str(file), **environment)
    assert (status, out) == (1, "")
    assert len(errors.splitlines()) == 3, "a heading and both errors"


@pytest.mark.parametrize(
    "command", [(str(Path(sys.executable).with_name("forebay")),), (sys.executable, "-m", "forebay_cli")]
)
def test_it_runs_as_a_command_and_as_a_module(command: tuple[str, ...], resolver: str) -> None:
    environment = {"PATH": os.environ["PATH"], "FOREBAY_RESOLVER": resolver}
    done = subprocess.run((*command, "health"), env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"readiness at {resolver} is SERVING\n", "")


def test_a_reader_that_leaves_early_is_no_error_worth_a_traceback(resolver: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {"PATH": os.environ["PATH"], "FOREBAY_RESOLVER": resolver, "FOREBAY_TOKEN": TOKEN}
    done = subprocess.run(
        (sys.executable, "-m", "forebay_cli", "models"),
        env=environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


async def test_where_there_are_clients_what_is_asked_with_a_key_is_what_its_client_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "forebay.yaml"
    entry = f"{{id: c, key-sha256: {hashlib.sha256(b'fb-key').hexdigest()}, allow: [chat]}}"
    config.write_text(f"{CONFIG}\nclients: [{entry}]\n")
    process = await start_resolver(config, "--drain", "0", errors=tmp_path / "log")

    async def forebay(*arguments: str, key: str = "fb-key") -> tuple[int, str, str]:
        environment = {"FOREBAY_RESOLVER": process.address, "FOREBAY_CLIENT_KEY": key}
        status = await asyncio.to_thread(main, arguments, environment)
        said = capsys.readouterr()
        return status, said.out, said.err

    try:
        for command in (("models",), ("resolve", "chat"), ("explain", "chat")):
            said = "an API key is required: the configuration has clients, so set FOREBAY_CLIENT_KEY to the key of one"
            assert await forebay(*command, key="") == (1, "", f"forebay: {said}\n")
            assert (await forebay(*command))[0] == 0
        assert "Turns" not in (await forebay("models"))[1]
        assert (await forebay("explain", "Turns"))[2].startswith("forebay: the model 'Turns' does not exist")
        assert (await forebay("explain", "Turns", key="other"))[2].startswith("forebay: the API key is not known")
    finally:
        await process.stop()


def test_an_operator_sees_how_targets_are(forebay: Forebay, resolver: str) -> None:
    cool(resolver, "seen", plan_pb2.DISPOSITION_RATE_LIMITED, 300_000)
    status, out, errors = forebay("status", FOREBAY_MANAGEMENT_KEY=KEY)
    assert (status, errors) == (0, "")
    head, *lines = out.splitlines()
    assert re.fullmatch(r"\S+ at revision \d+", head)
    (line,) = (line for line in lines if line.startswith("p/seen#0"))
    assert re.fullmatch(r"p/seen#0 +cooling +rate-limited +\d+(\.\d+)? s +- +1 rate-limited", line)
    assert re.fullmatch(r"\d+ other targets: ready, and not asked of late", lines[-1])
    assert "q/other#0  ready" in " ".join(forebay("status", "--all", FOREBAY_MANAGEMENT_KEY=KEY)[1].split("\n"))
    told = json.loads(forebay("status", "--json", FOREBAY_MANAGEMENT_KEY=KEY)[1])
    assert {"target_id", "state", "recent"} <= told["targets"][0].keys()


def test_an_operator_sees_revisions_and_goes_back(forebay: Forebay, tmp_path: Path) -> None:
    status, out, _ = forebay("revisions", FOREBAY_MANAGEMENT_KEY=KEY)
    assert status == 0
    assert out.splitlines()[0].split() == ["REVISION", "MADE", "AT", "AUTHOR", "SUMMARY"]
    assert re.fullmatch(r"1 +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +file +the first configuration", out.splitlines()[-1])
    assert forebay("revisions", "--diff", FOREBAY_MANAGEMENT_KEY=KEY)[1].splitlines()[-1].startswith("revision 1, ")
    said = "revision 1 is in effect, with the content of revision 1\n"
    assert forebay("rollback", "1", FOREBAY_MANAGEMENT_KEY=KEY) == (0, said, "")
    assert forebay("rollback", "99", FOREBAY_MANAGEMENT_KEY=KEY) == (
        1,
        "",
        "forebay: revision 99 is not kept; 'forebay revisions' lists those that are\n",
    )
    for wrong in ("0", "-1", "x", "99999999999999999999999999"):
        assert forebay("rollback", "--", wrong, FOREBAY_MANAGEMENT_KEY=KEY)[0] == 2
    assert forebay("rollback", "1")[0] == 2, "no key"


def test_an_operator_puts_a_file_into_effect(forebay: Forebay, tmp_path: Path) -> None:
    file = tmp_path / "a-file.yaml"
    assert forebay("apply", str(file), FOREBAY_MANAGEMENT_KEY=KEY) == (
        1,
        "",
        f"forebay: {file} cannot be read: No such file or directory\n",
    )
    file.write_text("polcy: {}\nmodl: 1\n")
    status, out, errors = forebay("apply", str(file), FOREBAY_MANAGEMENT_KEY=KEY)
    first, *mistakes = errors.splitlines()
    assert (status, out, first) == (1, "", "forebay: the configuration would be invalid: 2 problems")
    assert [line.partition(":")[0] for line in mistakes] == ["polcy", "modl"]
    assert [line.rpartition(" (")[2] for line in mistakes] == ["line 1)", "line 2)"]
    assert forebay("apply", str(file))[0] == 2, "no key"
