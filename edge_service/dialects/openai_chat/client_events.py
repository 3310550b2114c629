"""A stream for a client.

    the role, then deltas       of each choice
    why each choice has ended
    the usage, with no choices  if the client has asked for it
    [DONE]

Why a choice has ended is said when all has come: what breaks off before looks like nothing else. Source:
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from edge_service.dialects import native_tools
from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finish,
    Finished,
    MediaDelta,
    MediaKind,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.openai_chat import client_answer, details, terms, wire

_DONE = b"data: [DONE]\n\n"


class _Choice:
    """What is being written of one answer."""

    __slots__ = ("customs", "empty_calls", "finish", "head", "images", "is_thinking", "thoughts")

    def __init__(self, head: bytes) -> None:
        self.head = head
        """What each of its chunks begins with."""
        self.thoughts = 0
        """How many there have been: each has an index."""
        self.is_thinking = False
        """The last of them may go on."""
        self.empty_calls: set[int] = set()
        """The calls that have had no arguments yet."""
        self.customs: dict[int, list[str]] = {}
        """The calls of custom tools, and the bits of their arguments: the text in them is told at the end."""
        self.images = 0
        self.finish = Finish.STOP


class Events:
    """Writes one stream."""

    __slots__ = ("_before", "_choices", "_end", "_model", "_natives", "_tail", "_usage", "_wants_usage")

    def __init__(self, model: str, tools: Sequence[Tool] = (), *, wants_usage: bool) -> None:
        """`tools` are those that the client has offered."""
        self._natives = native_tools.natives(tools)
        self._model = wire.encode(model)
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._wants_usage = wants_usage
        self._end = b',"usage":null}\n\n' if wants_usage else b"}\n\n"
        self._tail = b'},"finish_reason":null}]' + self._end
        """What a chunk with a delta ends with."""
        self._before = self._head(Started(""))

    def _head(self, event: Started) -> bytes:
        return b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
            wire.encode(event.id or client_answer.NO_ID),
            event.created_at,
            self._model,
        )

    def write(self, events: Sequence[Event]) -> bytes:
        if len(events) == 1:
            return _WRITERS[type(events[0])](self, events[0])
        return b"".join([_WRITERS[type(event)](self, event) for event in events])

    def _start(self, event: Started) -> bytes:
        if self._choices:
            return b""
        self._before = self._head(event)
        self._usage = event.usage
        return self._begin(0)

    def _begin(self, index: int) -> bytes:
        choice = self._choices[index] = _Choice(self._before + b'{"index":%d,"delta":{' % index)
        return choice.head + b'"role":"assistant","content":""' + self._tail

    def _delta(self, index: int, fields: bytes, *, is_thought: bool = False) -> bytes:
        choice = self._choices.get(index)
        begun = b""
        if choice is None:
            begun = self._begin(index)
            choice = self._choices[index]
        choice.is_thinking = is_thought
        return begun + choice.head + fields + self._tail

    def _text(self, event: TextDelta) -> bytes:
        if event.logprobs is not None:
            return self._with_logprobs(event)
        choice = self._choices.get(event.choice)
        if choice is None:
            return self._delta(event.choice, b'"content":' + wire.encode(event.text)) if event.text else b""
        if not event.text:
            return b""
        choice.is_thinking = False
        return choice.head + b'"content":' + wire.encode(event.text) + self._tail

    def _with_logprobs(self, event: TextDelta) -> bytes:
        logprobs = b'},"logprobs":%b,"finish_reason":null}]' % bytes(event.logprobs or wire.NULL)
        begun = b"" if event.choice in self._choices else self._begin(event.choice)
        choice = self._choices[event.choice]
        choice.is_thinking = False
        return begun + choice.head + b'"content":' + wire.encode(event.text) + logprobs + self._end

    def _refusal(self, event: RefusalDelta) -> bytes:
        return self._delta(event.choice, b'"refusal":' + wire.encode(event.text)) if event.text else b""

    def _think(self, event: ThinkingDelta) -> bytes:
        begun = b"" if event.choice in self._choices else self._begin(event.choice)
        choice = self._choices[event.choice]
        written: list[details.Written] = []
        id_ = details.MARK + event.id
        is_apart = event.family is Family.GEMINI and not event.text and not choice.is_thinking
        if event.text or (event.signature and not is_apart):
            if choice.is_thinking:
                written.append({"type": details.TEXT, "text": event.text, "index": choice.thoughts - 1})
            else:
                written.append(details.text(event.text, choice.thoughts, id_))
                choice.thoughts += 1
            choice.is_thinking = not (event.signature or event.encrypted)
        if event.signature and written:
            written[0] |= details.signed(event.signature, event.family)
        sealed = event.encrypted or ("" if written else event.signature)
        if sealed:
            written.append(details.encrypted(sealed, event.family, choice.thoughts, id_))
            choice.thoughts += 1
            choice.is_thinking = False
        if not written:
            return begun
        said = b'"reasoning_content":%b,' % wire.encode(event.text) if event.text else b""
        return begun + choice.head + said + b'"reasoning_details":' + wire.encode(written) + self._tail

    def _begin_call(self, event: ToolCallStarted) -> bytes:
        begun = b"" if event.choice in self._choices else self._begin(event.choice)
        choice = self._choices[event.choice]
        call_id = event.id or f"call_{event.index}"
        call: dict[str, Any] = {"index": event.index, "id": call_id}
        if event.name in self._natives:
            choice.customs[event.index] = []
            call |= {"type": "custom", "custom": {"name": event.name, "input": ""}}
        else:
            choice.empty_calls.add(event.index)
            call |= {"type": "function", "function": {"name": event.name, "arguments": ""}}
        said = b'"tool_calls":[%b]' % wire.encode(call)
        if event.signature:
            signature = client_answer.call_signature(call_id, event.signature, choice.thoughts)
            choice.thoughts += 1
            said += b',"reasoning_details":[%b]' % wire.encode(signature)
        return begun + self._delta(event.choice, said)

    def _go_on_call(self, event: ToolCallDelta) -> bytes:
        if not event.arguments:
            return b""
        choice = self._choices.get(event.choice)
        if choice is not None:
            if event.index in choice.customs:
                choice.customs[event.index].append(event.arguments)
                return b""
            choice.empty_calls.discard(event.index)
        return self._arguments(event.choice, event.index, event.arguments)

    def _arguments(self, choice: int, index: int, arguments: str) -> bytes:
        said = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (index, wire.encode(arguments))
        return self._delta(choice, said)

    def _input(self, choice: int, index: int, text: str) -> bytes:
        said = b'"tool_calls":[{"index":%d,"custom":{"input":%b}}]' % (index, wire.encode(text))
        return self._delta(choice, said)

    def _media(self, event: MediaDelta) -> bytes:
        if event.media.kind is not MediaKind.IMAGE:
            return self._text(TextDelta(client_answer.link(event.media), event.choice))
        begun = b"" if event.choice in self._choices else self._begin(event.choice)
        choice = self._choices[event.choice]
        image = {**client_answer.image(event.media), "index": choice.images}
        choice.images += 1
        return begun + self._delta(event.choice, b'"images":[%b]' % wire.encode(image))

    def _finish(self, event: Finished) -> bytes:
        begun = b"" if event.choice in self._choices else self._begin(event.choice)
        self._choices[event.choice].finish = event.finish
        return begun

    def _see_usage(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _ended(self, _: Ended) -> bytes:
        written = [] if self._choices else [self._begin(0)]
        for index, choice in sorted(self._choices.items()):
            # Calls without arguments: what a client reads is to be JSON.
            written += [self._arguments(index, call, "{}") for call in sorted(choice.empty_calls)]
            texts = [(call, native_tools.text("".join(bits))) for call, bits in choice.customs.items()]
            written += [self._input(index, call, text) for call, text in texts if text]
            reason = terms.REASONS[choice.finish].encode()
            written.append(choice.head + b'},"finish_reason":"%b"}]' % reason + self._end)
        if self._wants_usage and self._usage is not None:
            written.append(self._before + b'],"usage":%b}\n\n' % wire.encode(terms.wire_usage(self._usage)))
        return b"".join(written) + _DONE


_WRITERS: Mapping[type, Callable[[Events, Any], bytes]] = MappingProxyType(
    {
        Started: Events._start,
        TextDelta: Events._text,
        RefusalDelta: Events._refusal,
        ThinkingDelta: Events._think,
        ToolCallStarted: Events._begin_call,
        ToolCallDelta: Events._go_on_call,
        MediaDelta: Events._media,
        Finished: Events._finish,
        UsageSeen: Events._see_usage,
        Ended: Events._ended,
    }
)
