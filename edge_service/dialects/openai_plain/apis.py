"""The APIs as rows of data, and what of their answers is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge_service.dialects import needing, surrogates
from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError, Whole
from edge_service.dialects.openai_chat import terms
from edge_service.dialects.openai_chat.wire import decode_object, encode

_list = msgspec.json.Decoder(list[msgspec.Raw] | None)


@dataclass(frozen=True, slots=True)
class Api:
    path: str
    """Behind a provider's base URL, and behind `/v1` here."""
    is_json: bool = True
    """Its answers are JSON objects; else they are anything: audio, subtitles, text."""
    results: str = ""
    """The field of the answer that has to have something in it, if there is one."""

    def whole(self, body: bytes, model: str) -> Whole:
        """A provider's whole answer: as it came, but for the name of the model where it tells one. Raises
        `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""
        if not body or (self.is_json and body.isspace()):
            raise EmptyAnswerError("an empty body")
        if not self.is_json and body[:1] != b"{":
            return Whole(body)
        try:
            fields = decode_object(body)
        except (ValueError, RecursionError):
            hidden = surrogates.hide(body)
            if hidden is not None:
                found = self.whole(hidden.data, model)
                return Whole(hidden.shown(found.body), found.usage)
            if self.is_json:
                raise MalformedAnswerError("not a JSON object") from None
            return Whole(body)
        if "error" in fields and bytes(fields["error"]) != b"null":
            raise ReportedError("the provider reported an error")
        if self.results:
            self._check(fields)
        usage = _usage(fields.get("usage"))
        if "model" not in fields or bytes(fields["model"]) == b"null":
            return Whole(body, usage)
        return Whole(encode({**fields, "model": model}), usage)

    def _check(self, fields: dict[str, msgspec.Raw]) -> None:
        if self.results not in fields:
            raise MalformedAnswerError(f"an answer without '{self.results}'")
        try:
            results = _list.decode(fields[self.results])
        except (msgspec.DecodeError, RecursionError):
            raise MalformedAnswerError(f"'{self.results}' is not an array") from None
        if not results:
            raise EmptyAnswerError(f"no {self.results}")


class _Usage(terms.WireUsage):
    """Images and transcripts are told of in the words of Responses."""

    input_tokens: int | None = None
    output_tokens: int | None = None


_wire_usage = msgspec.json.Decoder(_Usage)


def _usage(raw: msgspec.Raw | None) -> Usage | None:
    """None too for what is none: the client gets it as it came."""
    said = needing.decoded(_wire_usage, raw)
    if said is None:
        return None
    if said.input_tokens is None and said.output_tokens is None:
        return terms.usage(said)
    return Usage(said.input_tokens or 0, said.output_tokens or 0)


TEXT_COMPLETIONS = Api("/completions", results="choices")
EMBEDDINGS = Api("/embeddings", results="data")

APIS = (
    Api("/images/generations", results="data"),
    Api("/images/edits", results="data"),
    Api("/images/variations", results="data"),
    Api("/audio/transcriptions", is_json=False),
    Api("/audio/translations", is_json=False),
    Api("/audio/speech", is_json=False),
    Api("/moderations", results="results"),
    Api("/rerank"),
)
"""Those of which nothing is known but where the model's name stands."""
