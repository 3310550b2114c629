"""This dialect on both sides: bytes pass through, with every field, event, order and null that is not known here. Only
the model's name is touched; and thoughts of other families, which OpenAI refuses, are taken out of a request."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects import canonical, model_name, sealing, surrogates
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError, Written
from edge_service.dialects.openai_responses import terms, wire
from edge_service.dialects.openai_responses.terms import WireUsage
from edge_service.dialects.surrogates import Hidden
from edge_service.dialects.values import encode_around
from edge_service.domain.errors import InvalidRequestError

_MARK = sealing.MARK.encode()


class _Head(Struct):
    """What routing needs. The rest of a request is the provider's business."""

    model: str
    stream: bool | None = None
    previous_response_id: str | None = None


class _Thought(Struct):
    type: str = ""
    encrypted_content: str = ""


class _Answer(Struct):
    status: str | None = None
    output: list[Raw] | None = None
    error: Raw = wire.NULL


class _About(Struct):
    """Of an answer, what is not needed to pass it on."""

    id: str | None = None
    usage: WireUsage | None = None


_head = msgspec.json.Decoder(_Head)
_fields = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])
_thought = msgspec.json.Decoder(_Thought)
_answer = msgspec.json.Decoder(_Answer)
_about = msgspec.json.Decoder(_About)


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request, read as far as routing needs."""

    model: str
    stream: bool
    previous_response_id: str
    """The answer that this one goes on from, which only the target that has made it knows; empty for none."""
    fields: dict[str, Raw]
    """Every top-level field with its value byte for byte as it came, but for what is hidden."""
    hidden: Hidden | None = None
    dropped: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        """The answer can be asked for again, and gone on from."""
        return bytes(self.fields.get("store", wire.NULL)) != b"false"

    def write(self, model: str) -> Written:
        """The request for a provider that calls the model by this name."""
        body = encode_around("input", {**self.fields, "model": model})
        return Written(wire.PATH, body if self.hidden is None else self.hidden.shown(bytes(body)), dropped=self.dropped)


def read(body: bytes) -> Request:
    """Raises `InvalidRequestError`, which says what is wrong and where."""
    wire.check_encoding(body)
    hidden = None
    try:
        fields = _fields.decode(body)
    except (msgspec.DecodeError, RecursionError):
        hidden = surrogates.hide(body)
        fields = wire.typed(_fields, body if hidden is None else hidden.data)
    head = wire.typed(_head, body if hidden is None else hidden.data)
    model_name.check(head.model)
    if hidden is not None and hidden.mark in head.model:
        raise InvalidRequestError("'model' has half a surrogate pair in it", param="model")
    own = _own_thoughts(fields.get("input", wire.NULL)) if _MARK in body else None
    if own is not None:
        fields["input"] = own
    dropped = () if own is None else ("messages.thinking",)
    return Request(head.model, bool(head.stream), head.previous_response_id or "", fields, hidden, dropped)


def _own_thoughts(items: Raw) -> Raw | None:
    """The conversation without the thoughts of other families; None if there are none in it."""
    if wire.first_byte(items) != b"[":
        return None
    try:
        said = _list.decode(items)
    except (ValueError, RecursionError):
        return None  # The provider will say what is wrong with it.
    own = [item for item in said if not _is_foreign(item)]
    return None if len(own) == len(said) else Raw(wire.encode(own))


def _is_foreign(item: Raw) -> bool:
    try:
        thought = _thought.decode(item)
    except (ValueError, RecursionError):
        return False
    return thought.type == "reasoning" and thought.encrypted_content.startswith(sealing.MARK)


def retold(body: bytes, model: str) -> bytes:
    """What a provider says of a response that it keeps, whatever has become of it, under the name that it was asked for
    by: the response, what went into it, or that it is deleted. Raises `MalformedAnswerError` or `EmptyAnswerError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    try:
        fields = wire.decode_object(body)
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        if hidden is None:
            raise MalformedAnswerError("not a JSON object") from None
        return hidden.shown(retold(hidden.data, model))
    return wire.encode({**fields, "model": model}) if "model" in fields else body


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that came all at once."""

    body: bytes
    """For the client."""
    response_id: str
    usage: canonical.Usage | None
    """None if it does not say."""


def whole(body: bytes, model: str) -> Whole:
    """A provider's whole answer under the name that the client asked for. Raises `MalformedAnswerError`,
    `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    try:
        fields = wire.decode_object(body)
        answer = _answer.decode(body)
    except msgspec.ValidationError:
        raise MalformedAnswerError("not a response") from None
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        if hidden is None:
            raise MalformedAnswerError("not a JSON object") from None
        said = whole(hidden.data, model)
        return Whole(hidden.shown(said.body), said.response_id, said.usage)
    if answer.status in terms.FAILED or not wire.is_null(answer.error):
        raise ReportedError("the provider reported an error")
    if answer.output is None:
        raise MalformedAnswerError("an answer without 'output'")
    if not answer.output and answer.status in (None, terms.COMPLETED):
        raise EmptyAnswerError("no output")
    return Whole(wire.encode({**fields, "model": model}), *about(body))


def about(response: bytes | Raw) -> tuple[str, canonical.Usage | None]:
    """An answer's id and usage, as far as they can be told."""
    try:
        known = _about.decode(response)
    except (ValueError, RecursionError):
        return "", None
    return known.id or "", terms.usage(known.usage)
