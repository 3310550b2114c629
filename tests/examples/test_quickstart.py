"""`make run`: a real model, asked through the edge."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import openai
import pytest

from examples.local_model import NotInstalledError, find_weights
from tests.support.sdks import WAYS, sdks

ROOT = Path(__file__).parents[2]
QUESTION = {"model": "chat", "max_tokens": 24, "messages": [{"role": "user", "content": "Say hello."}]}


def installed() -> bool:
    try:
        return find_weights().is_file()
    except NotInstalledError:
        return False


with_model = pytest.mark.skipif(not installed(), reason="the model is not installed: 'make verify' installs it")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Free ports. Whatever was left behind shows itself in the directory for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    listening = [f"FOREBAY_{it}" for it in ("EDGE_LISTEN", "EDGE_OPS_LISTEN", "RESOLVER_LISTEN", "RESOLVER_OPS_LISTEN")]
    anywhere = dict.fromkeys(listening, "127.0.0.1:0")
    yield {"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "PYTHONWARNINGS": "error", **anywhere}
    assert list(temporary.iterdir()) == []


@dataclass
class Running:
    """A quick start that has said that it is ready."""

    process: subprocess.Popen[str]
    welcome: str

    @property
    def url(self) -> str:
        found = re.search(r"the edge at (\S+),", self.welcome)
        assert found is not None, self.welcome
        return found[1]

    def children(self) -> dict[int, str]:
        """The command lines of its children by their ids."""
        pid = self.process.pid
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(pid): Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids}

    def end(self) -> tuple[str, str]:
        """Waits for its end; what else it printed, and its standard error."""
        return self.process.communicate(timeout=30)


@contextlib.contextmanager
def quickstart(environment: Mapping[str, str], *arguments: str) -> Iterator[Running]:
    command = (sys.executable, "-m", "examples.quickstart", *arguments)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            welcome = ""
            while "Ctrl-C" not in welcome:
                line = process.stdout.readline()
                assert line, process.communicate()[1]
                welcome += line
            yield Running(process, welcome)
        finally:
            process.terminate()
            if not process.stdout.closed:
                process.communicate(timeout=30)


@with_model
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_answers_come_from_both_providers_in_turn(environment: dict[str, str]) -> None:
    with quickstart(environment) as running, httpx2.Client(base_url=running.url, timeout=60) as client:
        served = []
        for _ in range(4):
            response = client.post("/v1/chat/completions", json=QUESTION)
            assert response.status_code == 200, response.text
            answer = response.json()
            assert answer["model"] == "chat"
            assert answer["choices"][0]["message"]["content"].strip()
            served.append(response.headers["x-forebay-target"].partition("/")[0])
        assert served == ["local-a", "local-b"] * 2

        with client.stream("POST", "/v1/chat/completions", json={**QUESTION, "stream": True}) as response:
            assert response.headers["x-forebay-target"].startswith("local-a/")
            *events, end = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
        assert end == "[DONE]"
        text = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events]
        assert len([part for part in text if part]) > 1, "it comes in parts"

        children = running.children()
        assert len(children) == 4
        running.process.send_signal(signal.SIGTERM)
        output, errors = running.end()
        assert (running.process.returncode, errors) == (0, "")
        assert output.endswith("Stopped.\n")
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@with_model
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_answer_without_a_limit_ends_and_a_dead_model_ends_everything(environment: dict[str, str]) -> None:
    with quickstart(environment) as running:
        story = {"model": "chat", "messages": [{"role": "user", "content": "Count from one to ten thousand."}]}
        answer = httpx2.post(f"{running.url}/v1/chat/completions", json=story, timeout=60).json()
        assert answer["usage"]["completion_tokens"] <= 256

        children = running.children()
        victim = [pid for pid, command in children.items() if "local_model" in command][-1]
        os.kill(victim, signal.SIGKILL)
        errors = running.end()[1]
        assert running.process.returncode == 1
        assert "quickstart: local-b was ended by SIGKILL." in errors
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


_FUNCTION = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_HELLO = [{"role": "user", "content": "Say hello."}]
BY_EACH_LIBRARY = {
    "chat": {"messages": _HELLO, "max_tokens": 24, "tools": [{"type": "function", "function": _FUNCTION}]},
    "responses": {
        "input": _HELLO,
        "max_output_tokens": 24,
        "tools": [{"type": "function", "strict": False, **_FUNCTION}],
    },
    "anthropic": {
        "messages": _HELLO,
        "max_tokens": 24,
        "tools": [{"name": "get_weather", "input_schema": _FUNCTION["parameters"]}],
    },
    "gemini": {
        "contents": "Say hello.",
        "config": {
            "max_output_tokens": 24,
            "tools": [
                {"function_declarations": [{"name": "get_weather", "parameters_json_schema": _FUNCTION["parameters"]}]}
            ],
        },
    },
}


@with_model
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_official_libraries_are_answered_by_the_real_model(environment: dict[str, str]) -> None:
    with quickstart(environment) as running:
        async with sdks(running.url) as libraries:
            for client, asked in BY_EACH_LIBRARY.items():
                for way in WAYS:
                    seen = await libraries.ask(client, way, {"model": "chat", **asked})
                    # Whether a model of this size calls a function is its own affair.
                    assert seen.text.strip() or seen.calls, (client, way)
                    assert seen.finish in ("stop", "length", "calls")
                    assert seen.usage is not None
                    assert seen.usage.input > 0
                    assert 0 < seen.usage.output <= 24
            counted = await libraries.anthropic.messages.count_tokens(model="chat", messages=_HELLO)
            total = await libraries.google.aio.models.count_tokens(model="chat", contents="Say hello.")
            assert 0 < counted.input_tokens < 30
            assert 0 < total.total_tokens < 30
            # Its server was started for conversations, and says so.
            with pytest.raises(openai.InternalServerError, match="--embeddings"):
                await libraries.openai.embeddings.create(model="chat", input="hello")


def test_a_configuration_of_ones_own_needs_no_model(environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("providers: [{id: p, dialect: openai, base-url: 'https://p.example/v1', models: [its-model]}]")
    with quickstart(environment, "--config", str(config)) as running:
        assert '"model":"its-model"' in running.welcome
        assert str(config) in running.welcome
        assert len(running.children()) == 2


def test_where_every_request_needs_a_key_it_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    provider = "{id: p, dialect: openai, base-url: 'https://p.example/v1', models: [its-model]}"
    config.write_text(f"providers: [{provider}]\nclients: [{{id: c, key-sha256: {'ab' * 32}}}]")
    with quickstart(environment, "--config", str(config)) as running:
        assert running.welcome.count("-H 'authorization: Bearer KEY'") == 2
        assert "Names to call    those that the key's client may call" in running.welcome


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_nothing_goes_on_without_its_terminal_or_its_parent(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with quickstart(environment, "--config", "config.example.yaml") as running:
        children = running.children()
        for output in (running.process.stdout, running.process.stderr):
            assert output is not None
            output.close()
        running.process.send_signal(number)
        running.process.wait(30)
        give_up_at = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            assert time.monotonic() < give_up_at, children
            time.sleep(0.05)
    if number == signal.SIGKILL:
        # What a parent that was killed cannot do.
        for left in (tmp_path / "tmp").iterdir():
            left.rmdir()


def test_an_invalid_configuration_is_told_in_the_resolver_s_words(environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("providers: [{id: p, dialekt: openai, base-url: 'https://p.example/v1'}]")
    done = refused(environment, "--config", str(config))
    assert "quickstart: resolver ended with status 1. Its last lines:" in done
    assert "did you mean 'dialect'?" in done


def test_a_port_in_use_is_told_with_its_remedy(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = refused({**environment, "FOREBAY_EDGE_LISTEN": address}, "--config", "config.example.yaml")
    assert f"{address}, where the edge is to listen, is in use by another program." in done
    assert "FOREBAY_EDGE_LISTEN=127.0.0.1:0 make run" in done


def refused(environment: Mapping[str, str], *arguments: str) -> str:
    """The standard error of a quick start that does not begin."""
    command = (sys.executable, "-m", "examples.quickstart", *arguments)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr
