"""The services of `examples/` that make their own calls: what one of them learns of a provider, all of them know."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import trustme

from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc
from tests.support.certified import HOSTS, authority, pair
from tests.support.elsewhere import closed_port
from tests.support.faulty_upstream import Connection, Provider, Script, delta, provider, refuses, says
from tests.support.processes import Process, start_resolver
from tests.support.setup import config_text

ROOT = Path(__file__).parents[2]
TOKEN = "the-shared-token"
SHOWN = (("authorization", f"Bearer {TOKEN}"),)
PYTHON = (sys.executable, "-W", "error", "-m", "examples.python_service")
NPM_S = 50

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="there is no node here; make verify needs it"
)


@pytest.mark.slow
def test_there_is_node() -> None:
    """Where everything is verified, nothing is skipped."""
    assert shutil.which("node")
    assert shutil.which("npm")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """The command of the service in Node, with what its lock names and no more."""
    directory = tmp_path_factory.mktemp("node")
    (directory / "proto").symlink_to(ROOT / "proto")
    there = directory / "examples" / "node_service"
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "examples" / "node_service", there, ignore=ignored)
    command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    done = subprocess.run(command, cwd=there, capture_output=True, text=True, timeout=NPM_S)
    assert done.returncode == 0, done.stderr
    return ("node", str(there / "main.mjs"))


@pytest.fixture(params=["python", pytest.param("node", marks=needs_node)])
def service(request: pytest.FixtureRequest) -> Sequence[str]:
    return PYTHON if request.param == "python" else request.getfixturevalue("node")


@dataclass
class Arranged:
    command: Sequence[str]
    resolver: Process
    providers: list[Provider]

    @property
    def hits(self) -> list[int]:
        return [len(each.calls) for each in self.providers]

    async def ask(
        self, *flags: str, name: str = "chat", token: str = TOKEN, **environment: str
    ) -> tuple[int, str, str]:
        """Exit status, the answer, and who was asked."""
        flags = ("--resolver", self.resolver.address, *flags, name, "Hello?")
        process = await asyncio.create_subprocess_exec(
            *(*self.command, *flags),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "FOREBAY_TOKEN": token, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), errors.decode()

    async def explained(self) -> dict[str, str]:
        """What the resolver says of each target."""
        async with grpc.aio.insecure_channel(self.resolver.address) as channel:
            stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
            request = pb.ExplainRequest(request=pb.ResolveRequest(model="chat", will_report=True))
            found = await stub.Explain(request, timeout=5, metadata=SHOWN)
        return {target.target_id: target.reason for target in found.targets if not target.available}


@contextlib.asynccontextmanager
async def arranged(
    directory: Path,
    command: Sequence[str],
    *scripts: Script | str,
    flags: Sequence[str] = (),
    first: str = "",
    **text: str,
) -> AsyncIterator[Arranged]:
    """A script that is a string stands for a provider at this URL. `first` is what else is said of the first member."""
    async with contextlib.AsyncExitStack() as stack:
        providers, urls = [], []
        for script in scripts:
            if isinstance(script, str):
                urls.append(script)
            else:
                providers.append(await stack.enter_async_context(provider(script)))
                urls.append(providers[-1].url)
        config = directory / "forebay.yaml"
        config.write_text(config_text(*urls, **text).replace("priority: 0}", f"priority: 0{first}}}"))
        resolver = await start_resolver(
            config, "--drain", "0", *flags, errors=directory / "resolver.log", FOREBAY_TOKEN=TOKEN
        )
        try:
            yield Arranged(command, resolver, providers)
        finally:
            assert await resolver.stop() == 0


@pytest.mark.parametrize("flags", [(), ("--stream",)], ids=["whole", "streamed"])
async def test_a_429_moves_on_and_is_known_to_the_next(
    tmp_path: Path, service: Sequence[str], flags: tuple[str, ...]
) -> None:
    limited = refuses(429, "slow down", retry_after="120")
    async with arranged(tmp_path, service, limited, says("hello from the second")) as it:
        status, answer, asked = await it.ask(*flags)
        assert (status, answer.strip()) == (0, "hello from the second")
        assert asked == "p0/m#0: 429: rate_limited\np1/m#0: served\n"
        assert it.hits == [1, 1]
        assert await it.explained() == {"p0/m#0": "cooling: rate-limited"}

        status, answer, asked = await it.ask(*flags)
        assert (status, answer.strip()) == (0, "hello from the second")
        assert asked == "p1/m#0: served\n"
        assert it.hits == [1, 2]


async def test_a_fault_of_the_request_stays_where_it_is(tmp_path: Path, service: Sequence[str]) -> None:
    async with arranged(tmp_path, service, refuses(400), says("never asked")) as it:
        status, answer, asked = await it.ask()
        assert (status, answer) == (1, "")
        assert asked.startswith("p0/m#0: 400: client_fault\n")
        assert it.hits == [1, 0]
        assert await it.explained() == {}


async def test_silence_and_nobody_there_move_on(tmp_path: Path, service: Sequence[str]) -> None:
    async def silent(connection: Connection) -> None:
        await connection.gone()

    policy = "{timeouts: {headers: 300ms}}"
    with closed_port() as nobody:
        async with arranged(tmp_path, service, nobody, silent, says("at last"), policy=policy) as it:
            status, answer, asked = await it.ask("--stream")
            assert (status, answer.strip()) == (0, "at last")
            said = ["p0/m#0: no answer: unreachable", "p1/m#0: no answer: timeout", "p2/m#0: served"]
            assert asked.splitlines() == said


async def test_after_content_nothing_moves(tmp_path: Path, service: Sequence[str]) -> None:
    async def breaks(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="half "))
        connection.writer.close()

    async with arranged(tmp_path, service, breaks, says("never asked")) as it:
        status, answer, asked = await it.ask("--stream")
        assert (status, answer) == (1, "half ")
        assert asked.splitlines()[0].endswith(": broken")
        assert it.hits == [1, 0]


async def test_the_credential_and_the_operators_fields_are_sent(tmp_path: Path, service: Sequence[str]) -> None:
    first = ", params: {default: {temperature: 0.5}, set: {user: somebody}}"
    each = "credentials: [env:ONE_API_KEY]"
    async with arranged(tmp_path, service, says("hello"), each=each, first=first) as it:
        status, _, asked = await it.ask()
        assert (status, it.hits) == (1, [0]), "there is no such key here"
        assert "can be called from here" in asked
        assert (await it.ask(ONE_API_KEY="sk-one"))[0] == 0
        (call,) = it.providers[0].calls
        assert call.headers["authorization"] == "Bearer sk-one"
        assert call.json == {
            "model": "m",
            "messages": [{"role": "user", "content": "Hello?"}],
            "stream": False,
            "temperature": 0.5,
            "user": "somebody",
        }


@pytest.mark.parametrize(
    ("name", "token", "words"),
    [("chat", "wrong", "FOREBAY_TOKEN"), ("chatt", TOKEN, "chatt")],
)
async def test_without_a_plan_it_says_why(
    tmp_path: Path, service: Sequence[str], name: str, token: str, words: str
) -> None:
    async with arranged(tmp_path, service, says("never asked")) as it:
        status, answer, asked = await it.ask(name=name, token=token)
        assert (status, answer, it.hits) == (1, "", [0])
        assert "_service: the resolver has no plan: " in asked
        assert words in asked


async def test_it_speaks_tls_and_shows_a_certificate(tmp_path: Path, service: Sequence[str]) -> None:
    ca = trustme.CA()
    file = authority(tmp_path, "ca", ca)
    shown, own = pair(tmp_path, "resolver", ca.issue_cert(*HOSTS)), pair(tmp_path, "client", ca.issue_cert("client"))
    flags = (*shown.flags("tls"), "--tls-client-ca", str(file))
    async with arranged(tmp_path, service, says("hello"), flags=flags) as it:
        assert (await it.ask())[0] == 1
        assert (await it.ask("--resolver-ca", str(file)))[0] == 1
        status, answer, _ = await it.ask("--resolver-ca", str(file), *own.flags("resolver"))
        assert (status, answer.strip()) == (0, "hello")


def test_no_lock_names_where_its_packages_come_from() -> None:
    """They come from wherever whoever installs them is told to look."""
    assert '"resolved"' not in (ROOT / "examples" / "node_service" / "package-lock.json").read_text()
