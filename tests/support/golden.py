"""Files of what clients and providers send, and beside each the files of what becomes of it.

    tests/golden/dialects/DIALECT/requests/NAME.json    a client's request      -> canonical, and to every provider
                                  answers/NAME.json     a provider's answer     -> canonical, and to every client
                                  streams/NAME.sse      a provider's stream     -> canonical, and to every client

The snapshots of `NAME.json` are in `NAME/`. FOREBAY_GOLDEN=write rewrites them: look at what has changed before you
commit it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from edge_service.dialects import anthropic, canonical, gemini, openai_chat, openai_responses
from edge_service.dialects.exchange import (
    ClientEvents,
    EmptyAnswerError,
    InexpressibleError,
    MalformedAnswerError,
    ProviderSide,
    ReportedError,
)
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.sse import EventSplitter

ROOT = Path(__file__).parent.parent / "golden" / "dialects"
WRITE = os.environ.get("FOREBAY_GOLDEN") == "write"


class Writer(Protocol):
    """What all sides of clients have in common."""

    def write(self, answer: canonical.Answer, request: canonical.Request) -> bytes: ...
    def events(self, request: canonical.Request) -> ClientEvents: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    read: Callable[[bytes], canonical.Request]
    client: Writer
    provider: ProviderSide
    model: str
    """What providers call the model in requests."""


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "anthropic": Dialect(anthropic.CLIENT.read, anthropic.CLIENT, anthropic.PROVIDER, "claude-sonnet-4-5"),
        "gemini": Dialect(
            # What stands in the path comes beside the body.
            partial(gemini.CLIENT.read, model="the-name", stream=True),
            gemini.CLIENT,
            gemini.PROVIDER,
            "gemini-3-flash-preview",
        ),
        "openai_chat": Dialect(openai_chat.CLIENT.read, openai_chat.CLIENT, openai_chat.PROVIDER, "gpt-4.1"),
        "openai_responses": Dialect(
            openai_responses.CLIENT.read, openai_responses.CLIENT, openai_responses.PROVIDER, "gpt-5.2"
        ),
    }
)
"""Each is translated to all."""


def files(dialect: str) -> list[Path]:
    """What is translated, for parametrizing a test."""
    return _some(path for path in (ROOT / dialect).glob("*/*.*") if path.is_file())


def snapshots(kind: str, name: str) -> list[Path]:
    """What has become of the requests, answers or streams of all dialects, by the name of the snapshot: to be compared
    with what is published."""
    return _some(ROOT.glob(f"*/{kind}/*/{name}"))


def _some(paths: Iterable[Path]) -> list[Path]:
    """A test over none of them would pass, whatever it tests."""
    found = sorted(paths)
    assert found
    return found


def written_body(snapshot: Path) -> bytes:
    """The body of a request."""
    body: bytes = msgspec.json.encode(msgspec.json.decode(snapshot.read_bytes())["body"])
    return body


def check(dialect: str, path: Path) -> None:
    """Compares what becomes of a file with its snapshots."""
    sent = path.read_bytes()
    becomes = dict(_KINDS[path.parent.name](DIALECTS[dialect], sent))
    folder = path.parent / path.stem
    if WRITE:
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, content in becomes.items():
            (folder / name).write_bytes(content)
    snapshots = {each.name: each.read_bytes() for each in folder.iterdir()} if folder.is_dir() else {}
    assert becomes.keys() == snapshots.keys(), "FOREBAY_GOLDEN=write makes the missing ones"
    for name, content in becomes.items():
        assert content.decode() == snapshots[name].decode(), name


def _requests(dialect: Dialect, sent: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        request = dialect.read(sent)
    except InvalidRequestError as error:
        yield "refused.json", _json({"param": error.param, "message": error.message})
        return
    yield "canonical.json", _json(shown(request))
    for name, other in DIALECTS.items():
        try:
            written = other.provider.write(request, other.model)
        except InexpressibleError as error:
            yield f"{name}.inexpressible.json", _json(error.names)
            continue
        yield (
            f"{name}.json",
            _json(
                {
                    "path": written.path,
                    "headers": {key.decode(): value.decode() for key, value in written.headers},
                    "dropped": [*request.unsaid, *written.dropped],
                    "body": msgspec.json.decode(written.body),
                }
            ),
        )


def _answers(dialect: Dialect, sent: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        answer = dialect.provider.read(sent)
    except (MalformedAnswerError, EmptyAnswerError, ReportedError) as error:
        yield "failed.json", _json({"error": error.code, "message": str(error)})
        return
    yield "canonical.json", _json(shown(answer))
    for name, other in DIALECTS.items():
        yield (
            f"{name}.json",
            _json(msgspec.json.decode(other.client.write(answer, canonical.Request("the-name", False, ())))),
        )


def _streams(dialect: Dialect, sent: bytes) -> Iterator[tuple[str, bytes]]:
    request = canonical.Request("the-name", True, ())
    writers = {name: other.client.events(request) for name, other in DIALECTS.items()}
    written = dict.fromkeys(writers, b"")
    reader = dialect.provider.events()
    seen: list[Any] = []
    for event in EventSplitter().feed(sent):
        try:
            events = reader.read(event)
        except (MalformedAnswerError, ReportedError) as error:
            seen.append({"error": error.code, "message": str(error)})
            break
        seen += [shown(each) for each in events]
        for name, writer in writers.items():
            written[name] += writer.write(events)
    yield "canonical.json", _json(seen)
    yield from ((f"{name}.sse", content) for name, content in written.items())


_KINDS: Mapping[str, Callable[[Dialect, bytes], Iterator[tuple[str, bytes]]]] = MappingProxyType(
    {"requests": _requests, "answers": _answers, "streams": _streams}
)


def shown(value: Any) -> Any:
    """A canonical value as JSON: structs under their names, without fields that say nothing."""
    if isinstance(value, msgspec.Struct):
        fields = {
            field.name: shown(getattr(value, field.name))
            for field in msgspec.structs.fields(value)
            if field.required or getattr(value, field.name) not in (field.default, None, ())
        }
        return {type(value).__name__: fields}
    if isinstance(value, msgspec.Raw):
        return {"Raw": bytes(value).decode()}
    if isinstance(value, tuple | list):
        return [shown(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
