"""`forebay-resolver` as a process: its flags, its exit statuses, its last words."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc
from resolver_service import opening, settings
from tests.contract.serving import CONFIG, TIMEOUT_S
from tests.support import processes
from tests.support.processes import start, start_resolver

INVALID = """
providers: [{id: p, dialect: latin, base-url: "https://p.example", models: [m]}]
model-pools:
  pools: [{id: a, members: []}]
  clusters: [{id: c, members: [{pool: aa}]}]
"""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "forebay.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def invalid(tmp_path: Path) -> Path:
    path = tmp_path / "invalid.yaml"
    path.write_text(INVALID)
    return path


async def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `forebay-resolver`, which must end by itself."""
    return await processes.run("resolver_service", *arguments, **environment)


async def run_python(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """The same, all of it: Python too is started."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-m", "resolver_service", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **environment},
    )
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


def health(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


async def test_check_says_in_one_line_that_a_file_is_valid(config: Path) -> None:
    status, out, errors = await run_python("--check", "--config", str(config))
    assert (status, errors) == (0, "")
    assert out == f"{config}: valid: 2 providers, 3 models, 3 pools, 1 cluster\n"


def test_check_warns_of_what_is_valid_and_hardly_meant(tmp_path: Path) -> None:
    file = tmp_path / "forebay.yaml"
    file.write_text("providers:\n  - id: local\n    dialect: openai\n    base-url: http://localhost:8080/v1\n")
    line, warning = opening.check(settings.load(["--config", str(file)], {})).splitlines()
    assert line == f"{file}: valid: 1 provider, 0 models, 0 pools, 0 clusters"
    assert warning.startswith("warning: line 2, providers[0].allow-private: the edge will refuse to call 'localhost'")


@pytest.mark.parametrize("check", [("--check",), ()], ids=["check", "first boot"])
async def test_everything_that_is_wrong_with_a_file_is_said_at_once(invalid: Path, check: tuple[str, ...]) -> None:
    status, out, errors = await run(*check, "--config", str(invalid), "--listen", "127.0.0.1:0")
    assert (status, out) == (1, "")
    lines = errors.splitlines()
    assert lines[0] == f"{invalid} is not a valid configuration:"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "line 2, providers[0].dialect",
        "line 4, model-pools.pools[0].members",
        "line 5, model-pools.clusters[0].members[0].pool",
    ]


@pytest.mark.parametrize(
    ("check", "who"), [(("--check",), ""), ((), "forebay-resolver: ")], ids=["check", "first boot"]
)
async def test_a_file_that_is_not_there_is_named(tmp_path: Path, check: tuple[str, ...], who: str) -> None:
    path = tmp_path / "missing.yaml"
    status, _, errors = await run(*check, "--config", str(path))
    assert status == 1
    assert errors == (
        f"{who}there is no file {path}: name the configuration's, or begin with a copy of config.example.yaml\n"
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ((), {}, "--config FILE (or FOREBAY_RESOLVER_CONFIG) is required"),
        (("--config", "x", "--listen", "0.0.0.0:0"), {}, "add --plaintext-network to consent"),
        (("--config", "x"), {"FOREBAY_RESOLVER_LISTEN": "8401"}, "'8401' is neither HOST:PORT nor unix:PATH"),
        (("--config", "x"), {"FOREBAY_TOKEN": "geheim-ä"}, "FOREBAY_TOKEN: "),
        (("--config", "x"), {"FOREBAY_MANAGEMENT_KEY": "geheim-ä"}, "FOREBAY_MANAGEMENT_KEY: "),
        (("--config", "x"), {"FOREBAY_MANAGEMENT_KEY": " geheim"}, "FOREBAY_MANAGEMENT_KEY: "),
        (
            ("--config", "x"),
            {"FOREBAY_TOKEN": "geheim", "FOREBAY_MANAGEMENT_KEY": "geheim"},
            "FOREBAY_MANAGEMENT_KEY must not be FOREBAY_TOKEN",
        ),
    ],
)
async def test_arguments_that_make_no_sense_are_refused(
    arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    status, out, errors = await run(*arguments, **environment)
    assert (status, out) == (2, "")
    assert message in errors
    assert "geheim" not in errors


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--drain", "nan"),
        ("--drain", "-1"),
        ("--drain", "soon"),
        ("--listen", "::1:8401"),
        ("--listen", "127.0.0.1:" + "9" * 5000),
        ("--listen", "unix:"),
        ("--listen", "[::]:8401"),
        ("--ops-listen", "8403"),
        ("--ops-listen", "unix:/run/ops"),
    ],
)
def test_values_that_make_no_sense_are_refused(capsys: pytest.CaptureFixture[str], flag: str, value: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        settings.load(["--config", "x", flag, value], {})
    assert stopped.value.code == 2
    assert flag in capsys.readouterr().err.splitlines()[-1]


def test_the_secrets_are_not_in_what_is_printed_of_the_settings() -> None:
    environment = {"FOREBAY_TOKEN": "secret", "FOREBAY_MANAGEMENT_KEY": "secret too"}
    given = settings.load(["--config", "x", "--listen", "[::1]:0"], environment)
    assert (given.token, given.management_key) == ("secret", "secret too")
    assert "secret" not in repr(given)


@pytest.mark.parametrize("flag", ["--listen", "--ops-listen"])
async def test_an_address_that_is_taken_ends_it_with_a_message(config: Path, flag: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        other_flag = "--ops-listen" if flag == "--listen" else "--listen"
        status, out, errors = await run_python("--config", str(config), flag, address, other_flag, "127.0.0.1:0")
    assert (status, out) == (1, "")
    (told,) = errors.splitlines()
    assert told.startswith(f"forebay-resolver: {flag}: cannot listen on {address}: Address already in use")
    assert "Errno" not in errors


async def test_flags_have_environment_variables(config: Path, tmp_path: Path) -> None:
    environment = {
        "FOREBAY_RESOLVER_CONFIG": str(config),
        "FOREBAY_RESOLVER_LISTEN": "0.0.0.0:0",
        "FOREBAY_RESOLVER_OPS_LISTEN": "127.0.0.1:0",
        "FOREBAY_RESOLVER_PLAINTEXT_NETWORK": "1",
        "FOREBAY_RESOLVER_NO_REFLECTION": "true",
        "FOREBAY_RESOLVER_DRAIN": "0",
        "FOREBAY_TOKEN": "secret",
    }
    resolver = await start("resolver_service", errors=tmp_path / "log", environment=environment)
    assert resolver.address.startswith("0.0.0.0:")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{resolver.address.partition(':')[2]}") as channel:
            stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListModels(pb.ListModelsRequest(), timeout=TIMEOUT_S)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            shown = (("authorization", "Bearer secret"),)
            response = await stub.ListModels(pb.ListModelsRequest(), timeout=TIMEOUT_S, metadata=shown)
            assert len(response.models) == 7
            reflection = channel.unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await reflection(b"", timeout=TIMEOUT_S, metadata=shown)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    finally:
        assert await resolver.stop() == 0
    assert "secret" not in resolver.errors.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
async def test_a_signal_ends_it_well(config: Path, tmp_path: Path, number: int) -> None:
    """While a call is under way, on a Unix socket: readiness goes first, then the call, then the process. Operators can
    ask to the last."""
    arguments = ("--config", str(config), "--listen", f"unix:{tmp_path / 's'}", "--drain", "0.2")
    operations = ("--ops-listen", "127.0.0.1:0")
    resolver = await start("resolver_service", *arguments, *operations, errors=tmp_path / "log")
    found = re.fullmatch(r"forebay-resolver: serving operations on (\S+), gRPC on unix:\S+\n", resolver.line)
    assert found is not None
    async with (
        grpc.aio.insecure_channel(resolver.address) as channel,
        httpx2.AsyncClient(base_url=found[1], trust_env=False) as operator,
    ):
        asked = {path: (await operator.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics", "/")}
        assert asked == {"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404}
        stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
        stream = stub.ResolveStream()
        await stream.initial_metadata()
        watch = health(channel).Watch(health_pb2.HealthCheckRequest(service="readiness"))
        assert (await watch.read()).status == SERVING
        stopping = asyncio.create_task(resolver.stop(number))
        assert (await watch.read()).status == NOT_SERVING
        assert (await operator.get("/readyz")).status_code == 503
        assert (await operator.get("/healthz")).status_code == 200
        item = pb.ResolveItem(id=1, request=pb.ResolveRequest(model="m", timeout_ms=300))
        await stream.write(pb.ResolveStreamRequest(resolves=[item]))
        assert (await stream.read()).answers[0].plan.name == "m"
        assert await stopping == 0
    assert "Traceback" not in resolver.errors.read_text()
    assert not (tmp_path / "s").exists()


async def test_two_resolvers_do_not_share_a_port(config: Path, tmp_path: Path) -> None:
    resolver = await start_resolver(config, errors=tmp_path / "log")
    try:
        flags = ("--listen", resolver.address, "--ops-listen", "127.0.0.1:0")
        status, _, errors = await run("--config", str(config), *flags)
        assert status == 1
        assert "cannot listen on" in errors
    finally:
        assert await resolver.stop() == 0
