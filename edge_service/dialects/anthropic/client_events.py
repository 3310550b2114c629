"""A stream for a client.

    message_start
      content_block_start, content_block_delta ..., content_block_stop     for each block, one after the other
    message_delta                                                          how it ended, and the usage
    message_stop

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw

from edge_service.dialects.anthropic import sealing, terms, wire
from edge_service.dialects.anthropic.client_answer import NO_ID, redacted, shown
from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finish,
    Finished,
    MediaDelta,
    RefusalDelta,
    Started,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)


class _Block(Enum):
    """What is being written."""

    NONE = auto()
    TEXT = auto()
    THINKING = auto()
    TOOL = auto()


_NONE, _TEXT, _THINKING, _TOOL = _Block

_anything = msgspec.json.Decoder(Raw)
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b:'
_KINDS = MappingProxyType(
    {
        _TEXT: b'"text_delta","text"',
        _THINKING: b'"thinking_delta","thinking"',
        _TOOL: b'"input_json_delta","partial_json"',
    }
)
_MESSAGE_STOP = wire.named_event("message_stop", {})


class Events:
    """Writes one stream.

    Blocks of this dialect stand one after the other, but other dialects may send fragments of several calls in turns.
    A call that begins while the arguments of the one before are not complete waits, with all its fragments, until that
    one is.
    """

    __slots__ = (
        "_arguments",
        "_block",
        "_call",
        "_delta",
        "_finished",
        "_held",
        "_id",
        "_index",
        "_model",
        "_refused",
        "_started",
        "_thought",
        "_usage",
        "_waiting",
    )

    def __init__(self, model: str) -> None:
        self._model = model
        self._started = False
        self._id = NO_ID
        self._block = _NONE
        self._index = -1
        """The index of the block that is, or was last, being written."""
        self._delta = b""
        """What a delta of this block begins with."""
        self._call = -1
        """Which call is being written."""
        self._arguments: list[str] = []
        """Of that call."""
        self._waiting: dict[int, list[ToolCallStarted | ToolCallDelta]] = {}
        self._thought = Thinking()
        """What is to be signed when its block ends."""
        self._held: ThinkingDelta | None = None
        """A signature that stands by itself behind something: it is told with what follows it, and not at the end. See
        `client_answer`."""
        self._refused = False
        self._finished: Finished | None = None
        self._usage = Usage()

    def write(self, events: Sequence[Event]) -> bytes:
        if len(events) == 1:
            return _WRITERS[type(events[0])](self, events[0])
        return b"".join([_WRITERS[type(event)](self, event) for event in events])

    def _start(self, event: Started) -> bytes:
        if self._started:
            return b""
        self._started = True
        if event.usage is not None:
            self._usage = event.usage
        message: dict[str, Any] = {
            "id": event.id or NO_ID,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": terms.wire_usage(self._usage),
        }
        return wire.named_event("message_start", {"message": message})

    def _open(self, block: _Block, fields: dict[str, Any]) -> bytes:
        ended = self._close() if self._started else self._start(Started(""))
        if self._held is not None:
            ended += self._tell_held(self._held)
        self._block = block
        self._index += 1
        self._delta = _DELTA % (self._index, _KINDS[block])
        return ended + wire.named_event("content_block_start", {"index": self._index, "content_block": fields})

    def _close(self) -> bytes:
        """Ends the block that is being written, if there is one. What waits goes on waiting."""
        if self._block is _NONE:
            return b""
        signed = b""
        if self._block is _THINKING:
            delta = {"type": "signature_delta", "signature": sealing.seal(self._thought)}
            signed = wire.named_event("content_block_delta", {"index": self._index, "delta": delta})
            self._thought = Thinking()
        self._block = _NONE
        return signed + wire.named_event("content_block_stop", {"index": self._index})

    def _text(self, event: TextDelta) -> bytes:
        if self._block is _TEXT:
            return self._delta + wire.encode(event.text) + b"}}\n\n"
        if not event.text:
            return b""
        opened = self._release() + self._open(_TEXT, {"type": "text", "text": ""})
        return opened + self._delta + wire.encode(event.text) + b"}}\n\n"

    def _refusal(self, event: RefusalDelta) -> bytes:
        self._refused = True
        return self._text(TextDelta(event.text))

    def _media(self, event: MediaDelta) -> bytes:
        return self._text(TextDelta(shown(event.media)))

    def _think(self, event: ThinkingDelta) -> bytes:
        writes = self._block is _THINKING
        if event.signature and not event.text and not writes and self._index >= 0:
            return self._hold(event)
        over = bool(self._thought.signature or self._thought.encrypted)
        if event.encrypted and not event.text and (not writes or over or event.family is Family.ANTHROPIC):
            return self._redacted(event)
        written = b""
        if event.text or event.signature or event.encrypted:
            if not writes:
                written = self._release() + self._open(_THINKING, _NO_THOUGHT)
            elif over:
                written = self._open(_THINKING, _NO_THOUGHT)
        if event.signature or event.encrypted or event.id:
            self._thought = Thinking(
                signature=event.signature,
                encrypted=event.encrypted,
                family=event.family,
                id=event.id or self._thought.id,
            )
        if event.text:
            written += self._delta + wire.encode(event.text) + b"}}\n\n"
        return written

    def _hold(self, event: ThinkingDelta) -> bytes:
        told = self._release() + self._close()
        if self._held is not None:
            told += self._tell_held(self._held)
        self._held = event
        return told

    def _tell_held(self, held: ThinkingDelta) -> bytes:
        self._held = None
        opened = self._open(_THINKING, _NO_THOUGHT)
        self._thought = Thinking(signature=held.signature, family=held.family, id=held.id)
        return opened + self._close()

    def _redacted(self, event: ThinkingDelta) -> bytes:
        name = event.id or self._thought.id
        sealed = sealing.seal(Thinking(encrypted=event.encrypted, family=event.family, id=name))
        written = self._release() + self._redact(sealed)
        self._thought = Thinking()
        return written

    def _redact(self, data: str) -> bytes:
        return self._open(_TEXT, redacted(data)) + self._close()

    def _begin_call(self, event: ToolCallStarted) -> bytes:
        if self._waiting or (self._block is _TOOL and not self._is_call_complete()):
            self._waiting.setdefault(event.index, []).append(event)
            return b""
        return self._open_call(event)

    def _open_call(self, event: ToolCallStarted) -> bytes:
        call_id = event.id or f"call_{event.index}"
        fields = {"type": "tool_use", "id": call_id, "name": event.name, "input": {}}
        signed = self._redact(sealing.seal_call(call_id, event.signature)) if event.signature else b""
        self._call = event.index
        self._arguments = []
        return signed + self._open(_TOOL, fields)

    def _is_call_complete(self) -> bool:
        """Whether nothing more can come to the arguments of the call: they are JSON, and of that there is no more."""
        try:
            _anything.decode("".join(self._arguments))
        except (ValueError, RecursionError):
            return False
        return True

    def _go_on_call(self, event: ToolCallDelta) -> bytes:
        if self._block is _TOOL and event.index == self._call:
            self._arguments.append(event.arguments)
            return self._delta + wire.encode(event.arguments) + b"}}\n\n"
        waiting = self._waiting.get(event.index)
        if waiting is not None:
            waiting.append(event)
        return b""  # Of a call that never began, or is over: there is no place for it.

    def _release(self) -> bytes:
        """What waits for the call that is being written to end: it has ended."""
        if not self._waiting:
            return b""
        waiting, self._waiting = self._waiting, {}
        return b"".join(
            self._open_call(event) if isinstance(event, ToolCallStarted) else self._go_on_call(event)
            for events in waiting.values()
            for event in events
        )

    def _finish(self, event: Finished) -> bytes:
        self._finished = event
        return self._release() + self._close()

    def _see_usage(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _end(self, _: Ended) -> bytes:
        started = b"" if self._started else self._start(Started(""))
        ended = self._release() + self._close()
        said = self._finished or Finished(Finish.STOP)
        delta = {
            "stop_reason": terms.stop_reason(said.finish, said.stop_sequence, refused=self._refused),
            "stop_sequence": said.stop_sequence or None,
        }
        usage = terms.wire_usage(self._usage)
        return started + ended + wire.named_event("message_delta", {"delta": delta, "usage": usage}) + _MESSAGE_STOP


_NO_THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}

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
        Ended: Events._end,
    }
)
