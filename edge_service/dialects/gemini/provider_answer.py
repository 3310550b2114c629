"""A provider's whole answer, as the canonical one."""

from __future__ import annotations

import re

import msgspec

from edge_service.dialects import canonical
from edge_service.dialects.canonical import Answer, Choice, Family, Finish, Media, Text, Thinking, ToolCall
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError
from edge_service.dialects.gemini import logprobs, usage, wire, words
from edge_service.dialects.values import first_byte, is_null

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_errors = msgspec.json.Decoder(list[wire.Response])


def read(body: bytes) -> Answer:
    """Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    answer = decoded(body)
    if not answer.candidates:
        if not is_blocked(answer):
            raise EmptyAnswerError("no candidates")
        choices: tuple[Choice, ...] = (Choice((), Finish.FILTERED),)
    else:
        ids = CallIds(answer.response_id)
        choices = tuple(_choice(candidate, ids) for candidate in _in_order(answer.candidates))
    used = usage.read(answer.usage_metadata) if answer.usage_metadata is not None else canonical.Usage()
    return Answer(answer.response_id or "", 0, choices, used)


def decoded(data: bytes) -> wire.Response:
    """Raises `MalformedAnswerError` or `ReportedError`."""
    try:
        if not data.isascii():
            data.decode()  # What stays raw is checked for everything but its encoding.
        answer = wire.decoder.decode(data)
    except (ValueError, RecursionError):
        if _is_error_in_array(data):
            raise ReportedError("the provider reported an error") from None
        raise MalformedAnswerError("not an answer of Gemini's") from None
    if not is_null(answer.error):
        raise ReportedError("the provider reported an error")
    return answer


def _is_error_in_array(data: bytes) -> bool:
    """What is asked for without `alt=sse` is answered with an array; some errors are, whatever was asked for."""
    if not data.lstrip().startswith(b"["):
        return False
    try:
        return any(not is_null(one.error) for one in _errors.decode(data))
    except (ValueError, RecursionError):
        return False


def is_blocked(answer: wire.Response) -> bool:
    """The prompt was refused, and there is nothing else."""
    return answer.prompt_feedback is not None and bool(answer.prompt_feedback.block_reason)


def _in_order(candidates: list[wire.Candidate]) -> list[wire.Candidate]:
    """The candidates by index, if each has one."""
    if len(candidates) == 1 or any(candidate.index is None for candidate in candidates):
        return candidates
    return sorted(candidates, key=lambda candidate: candidate.index or 0)


class CallIds:
    """Ids for calls that have none, different in every answer: a client may send back many of them at once."""

    __slots__ = ("_made", "_prefix")

    def __init__(self, response_id: str | None) -> None:
        self._prefix = f"call_{response_id}_" if response_id and _ID.match(response_id) else "call_"
        self._made = 0

    def of(self, call: wire.Call) -> str:
        if call.id:
            return call.id
        made = f"{self._prefix}{self._made}"
        self._made += 1
        return made


def _choice(candidate: wire.Candidate, ids: CallIds) -> Choice:
    parts: list[Text | Thinking | ToolCall | Media] = []
    for part in (candidate.content.parts if candidate.content is not None else None) or ():
        signature = part.thought_signature or ""
        if part.text is not None:
            if part.thought:
                parts.append(Thinking(part.text, signature, family=Family.GEMINI if signature else None))
                continue
            if part.text:
                parts.append(Text(part.text))
        if part.function_call is not None:
            call = part.function_call
            parts.append(ToolCall(ids.of(call), call.name, arguments(call), signature))
            signature = ""
        media = media_of(part)
        if media is not None:
            parts.append(media)
        if signature:
            parts.append(Thinking(signature=signature, family=Family.GEMINI))
    reason = candidate.finish_reason or ""
    if reason in words.FAILURES and not parts:
        raise ReportedError("the model has failed at the request")
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    return Choice(
        tuple(parts),
        # An answer that is all there has ended, whether it says so or not.
        finish("STOP" if reason in words.UNFINISHED else reason, has_calls=has_calls),
        logprobs=logprobs.read(candidate.logprobs_result) if candidate.logprobs_result is not None else None,
    )


def finish(reason: str, *, has_calls: bool) -> Finish:
    found = words.FINISHES.get(reason, Finish.FILTERED)
    return Finish.TOOL_CALLS if has_calls and found is Finish.STOP else found


def arguments(call: wire.Call) -> str:
    """Raises `MalformedAnswerError`."""
    if is_null(call.args):
        return "{}"
    if first_byte(call.args) != b"{":
        raise MalformedAnswerError("a call whose arguments are no object")
    return bytes(call.args).decode()


def media_of(part: wire.Part) -> Media | None:
    if part.inline_data is not None and part.inline_data.data:
        media_type = part.inline_data.mime_type or ""
        return Media(words.kind(media_type), media_type, data=part.inline_data.data)
    if part.file_data is not None and part.file_data.file_uri:
        media_type = part.file_data.mime_type or ""
        uri = part.file_data.file_uri
        return Media(words.kind(media_type), media_type, file_id=uri, family=Family.GEMINI)
    return None
