"""`make demo`: a request moves from one provider to another, before your eyes and without any account.

    python -m examples.failover_demo

Resolver and edge are real ones; the two providers are the few lines of `providers` below.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.children import ChildError, Children, until_told_to_stop
from forebay.resolver.v1.resolver_service_pb2 import ExplainRequest, ResolveRequest
from forebay.resolver.v1.resolver_service_pb2_grpc import ResolverServiceStub

if TYPE_CHECKING:
    # The generated stub serves both kinds of channels; this name for its awaitable side is known to type checkers only.
    from forebay.resolver.v1.resolver_service_pb2_grpc import ResolverServiceAsyncStub

RETRY_AFTER_S = 2

CONFIG = """
providers:
  - {{id: first, dialect: openai, base-url: "{url}/first/v1", models: [m], allow-private: true}}
  - {{id: second, dialect: openai, base-url: "{url}/second/v1", models: [m], allow-private: true}}
model-pools:
  pools:
    - id: pool
      strategy: priority
      members:
        - {{provider: first, model: m, priority: 0}}
        - {{provider: second, model: m, priority: 1}}
  clusters:
    - id: chat
      members: [{{pool: pool}}]
"""


class DemoError(Exception):
    """What is to be seen is not to be seen."""


def main() -> None:
    try:
        ended = asyncio.run(until_told_to_stop(demo()))
    except (ChildError, DemoError) as error:
        sys.exit(f"\nfailover_demo: {error}")
    sys.exit(0 if ended else 130)


async def demo() -> None:
    """Starts everything on free ports, shows it, and stops it."""
    providers = Providers()
    print("Starting two providers, a resolver and an edge ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="forebay-demo-") as directory:
        async with providers.serving() as url, Children() as children:
            resolver, edge = await start_services(children, write_config(Path(directory), url))
            async with (
                httpx2.AsyncClient(base_url=edge, trust_env=False) as client,
                grpc.aio.insecure_channel(resolver) as channel,
            ):
                await show(client, ResolverServiceStub(channel), providers)


def write_config(directory: Path, url: str) -> Path:
    path = directory / "config.yaml"
    path.write_text(CONFIG.format(url=url))
    return path


async def start_services(children: Children, config: Path) -> tuple[str, str]:
    """The resolver's address and the edge's URL."""
    # What is set for services that are run for good, such as a token, is not meant for these.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
    listen = ("--listen", "127.0.0.1:0")
    # Nobody looks at their metrics, and the usual ports may be those of services that are run for good.
    flags = (*listen, "--ops-listen", "")
    resolver = await children.start(
        "resolver", "resolver_service", "--config", str(config), *flags, environment=environment
    )
    address = await resolver.serving()
    edge = await children.start("edge", "edge_service", "--resolver", address, *flags, environment=environment)
    return address, await edge.serving()


# --- What is shown ---------------------------------------------------------------------------------------------------


async def show(client: httpx2.AsyncClient, resolver: ResolverServiceAsyncStub, providers: Providers) -> None:
    """The scenes, in their order."""
    print("\nThe cluster `chat` prefers the provider `first`, whose rate limit is reached; `second` is well.")

    scene(1, "The first answers 429, and within the same request the second is asked. The client sees only a 200.")
    await ask(client, providers)

    scene(2, f"The first wanted {RETRY_AFTER_S} s of rest and has them: the next request goes straight to the second.")
    await ask(client, providers)

    scene(3, "The resolver says why, to whoever asks it (Explain, over gRPC).")
    rest_s = await explain(resolver)

    scene(4, "Rested, the first is tried again, and answers 429 again. A stream moves on in just the same way.")
    await asyncio.sleep(rest_s)
    await ask_for_a_stream(client, providers)

    scene(5, "It rests again, and has recovered when it is tried after that: it serves.")
    providers.limited = False
    await asyncio.sleep(await explain(resolver))
    await ask(client, providers)
    print("\nThat was all; everything is being stopped.", flush=True)


def scene(number: int, what: str) -> None:
    print(f"\n{number}. {what}", flush=True)


async def ask(client: httpx2.AsyncClient, providers: Providers) -> None:
    """A request for an answer in one piece."""
    with providers.watched():
        response = await client.post("/v1/chat/completions", json=question())
        show_head(response)
        print(f"   {response.json()['choices'][0]['message']['content']!r}", flush=True)


async def ask_for_a_stream(client: httpx2.AsyncClient, providers: Providers) -> None:
    """A request for an answer that comes word by word."""
    with providers.watched():
        async with client.stream("POST", "/v1/chat/completions", json=question(stream=True)) as response:
            show_head(response)
            print("   ", end="")
            async for line in response.aiter_lines():
                if line:
                    print(word(line), end="", flush=True)
        print()


def question(*, stream: bool = False) -> dict[str, object]:
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": "Hello?"}],
        **({"stream": True} if stream else {}),
    }
    print(f"   POST /v1/chat/completions {json.dumps(body)}")
    return body


def word(line: str) -> str:
    """What is to be seen of an event of a stream."""
    data = line.removeprefix("data: ")
    if data == "[DONE]":
        return "[DONE]"
    delta = json.loads(data)["choices"][0]["delta"]
    return f"{delta['content']!r} " if delta.get("content") else ""


def show_head(response: httpx2.Response) -> None:
    """The status, and the headers that say who served. Raises `DemoError` for anything but a 200."""
    print(f"   {response.status_code} {response.reason_phrase}")
    for name in ("x-forebay-target", "x-forebay-attempts", "x-forebay-overhead-ms"):
        print(f"   {name}: {response.headers.get(name)}", flush=True)
    if response.status_code != 200:
        raise DemoError(f"the edge answered {response.status_code}, and was to answer 200")


async def explain(resolver: ResolverServiceAsyncStub) -> float:
    """Prints what the resolver thinks of each target; how long it takes until all of them may be tried, in seconds."""
    request = ExplainRequest(request=ResolveRequest(model="chat"))
    response = await resolver.Explain(request, timeout=5, wait_for_ready=True)
    for target in response.targets:
        rest = f", for another {target.retry_after_ms / 1000:.1f} s" if target.retry_after_ms else ""
        print(f"   {target.target_id:<12} {'in ' if target.available else 'out'}  {target.reason}{rest}", flush=True)
    return max(target.retry_after_ms for target in response.targets) / 1000


# --- The providers ---------------------------------------------------------------------------------------------------


class Server(uvicorn.Server):
    """Leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Providers:
    """Two providers on one port, in OpenAI's dialect."""

    limited: bool = True
    """Whether the first refuses everybody."""
    answers: list[str] = field(default_factory=list)
    """What they answered to whom, such as `first 429`."""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """They serve for the time of the block; the URL of their port."""
        path = "/{provider}/v1/chat/completions"
        app = Starlette(routes=[Route(path, self._answer, methods=["POST"])])
        server = Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve([listening]))
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                await serving

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Prints what they answered during the block."""
        self.answers.clear()
        yield
        print(f"   (behind the gateway: {', then '.join(self.answers)})", flush=True)

    async def _answer(self, request: Request) -> Response:
        provider = request.path_params["provider"]
        if provider == "first" and self.limited:
            self.answers.append("first answered 429")
            error = {"message": "slow down", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
            return JSONResponse({"error": error}, 429, {"retry-after": str(RETRY_AFTER_S)})
        self.answers.append(f"{provider} answered 200")
        text = f"Hello from the {provider} provider."
        if (await request.json()).get("stream"):
            return StreamingResponse(_events(text), media_type="text/event-stream")
        return JSONResponse(_completion("chat.completion", message={"role": "assistant", "content": text}))


async def _events(text: str) -> AsyncIterator[str]:
    for part in text.split():
        yield f"data: {json.dumps(_completion('chat.completion.chunk', delta={'content': part}))}\n\n"
        await asyncio.sleep(0.1)
    end = _completion("chat.completion.chunk", delta={}, finish_reason="stop")
    yield f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n"


def _completion(kind: str, **choice: object) -> dict[str, object]:
    choices = [{"index": 0, "finish_reason": None if "delta" in choice else "stop", **choice}]
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "m", "choices": choices}


if __name__ == "__main__":
    main()
