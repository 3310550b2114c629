"""A stream for a client.

    response.created, response.in_progress
      response.output_item.added                       for each item: a message, a thought, a call
        ... .added, ... .delta, ..., ... .done         for what is in it, bit by bit and then whole
      response.output_item.done
    response.completed, or response.incomplete

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from edge_service.dialects import native_tools, sealing
from edge_service.dialects.canonical import (
    Ended,
    Event,
    Finish,
    Finished,
    MediaDelta,
    RefusalDelta,
    Started,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.openai_responses import client_output, errors, logprobs, terms, wire
from edge_service.dialects.openai_responses.client_bits import REFUSAL, SUMMARY, TEXT, WITH_ALL, Call, Growing
from edge_service.dialects.openai_responses.client_output import Item, Names
from edge_service.domain.errors import ApiError


class Events:
    """Writes one stream.

    The items stand one after the other, but for calls: those of other dialects may come with their arguments in turns,
    and the events here say which of them they are of.
    """

    __slots__ = (
        "_calls",
        "_content",
        "_created_at",
        "_finish",
        "_growing",
        "_has_begun",
        "_item",
        "_model",
        "_names",
        "_natives",
        "_newest",
        "_output",
        "_refused",
        "_sequence_number",
        "_thought",
        "_usage",
    )

    def __init__(self, model: str, tools: Sequence[Tool] = ()) -> None:
        """`tools` are those that the client has offered."""
        self._model = model
        self._natives = native_tools.natives(tools)
        self._has_begun = False
        self._names = Names("")
        self._created_at = 0
        self._sequence_number = 0
        """Of the next event."""
        self._output: list[Item | None] = []
        """The items, those that are not done as None."""
        self._item = ""
        """The id of the message or thought that is being written."""
        self._content: list[Item] | None = None
        """The parts of that message that are done; None for a thought."""
        self._growing: Growing | None = None
        """What is being written of it."""
        self._thought = Thinking()
        """What is known of the thought but its text: its signature comes when it is over."""
        self._calls: dict[int, Call] = {}
        self._newest = -1
        self._refused = False
        self._finish = Finish.STOP
        self._usage: Usage | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        if len(events) == 1:
            return _WRITERS[type(events[0])](self, events[0])
        return b"".join([_WRITERS[type(event)](self, event) for event in events])

    def error(self, error: ApiError) -> bytes:
        """How the stream ends if it breaks off."""
        return errors.error_event(error, self._sequence_number)

    def _event(self, name: str, fields: dict[str, Any]) -> bytes:
        number = self._sequence_number
        self._sequence_number = number + 1
        return wire.event(name, wire.encode({"type": name, "sequence_number": number, **fields}))

    # --- The answer

    def _begin(self, event: Started) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        self._names = names = Names(event.id)
        self._created_at = event.created_at
        self._usage = event.usage
        begun = {"response": client_output.response(names, self._model, event.created_at, terms.IN_PROGRESS)}
        return self._event("response.created", begun) + self._event("response.in_progress", begun)

    def _see_usage(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _finished(self, event: Finished) -> bytes:
        if event.choice:
            return b""
        self._finish = event.finish
        return self._close_all()

    def _end(self, _: Ended) -> bytes:
        written = self._begun() + self._close_all()
        reason = self._reason()
        status = terms.COMPLETED if reason is None else terms.INCOMPLETE
        answer = client_output.response(
            self._names,
            self._model,
            self._created_at,
            status,
            [item for item in self._output if item is not None],
            reason=reason,
            usage=self._usage or Usage(),
        )
        return written + self._event(f"response.{status}", {"response": answer})

    def _begun(self) -> bytes:
        return b"" if self._has_begun else self._begin(Started(""))

    def _reason(self) -> str | None:
        return terms.incomplete_reason(self._finish, refused=self._refused)

    # --- Its items

    def _add(self, kind: str, item: Item | None = None) -> tuple[int, str]:
        """The next item's index and id, which are those of `item` if it is given."""
        index = len(self._output)
        self._output.append(None)
        return index, item["id"] if item is not None else self._names.item(kind, index)

    def _added(self, index: int, item: Item) -> bytes:
        return self._event("response.output_item.added", {"output_index": index, "item": item})

    def _done(self, index: int, item: Item) -> bytes:
        self._output[index] = item
        return self._event("response.output_item.done", {"output_index": index, "item": item})

    def _close(self) -> bytes:
        """Ends the message or the thought that is being written, if there is one."""
        if not self._item:
            return b""
        written = self._close_part()
        index = len(self._output) - 1
        if self._content is not None:
            status = terms.COMPLETED if self._reason() is None else terms.INCOMPLETE
            item = client_output.message(self._item, self._content, status)
        else:
            said = "" if self._growing is None else "".join(self._growing.bits)
            item = client_output.reasoning(self._item, said, client_output.seal(self._thought))
        self._thought = Thinking()
        self._item, self._content, self._growing = "", None, None
        return written + self._done(index, item)

    def _close_part(self) -> bytes:
        growing = self._growing
        if growing is None:
            return b""
        written, said = self._close_growing(growing)
        if growing.kind == SUMMARY:
            part: Item = {"type": "summary_text", "text": said}
            return written + self._event("response.reasoning_summary_part.done", {**growing.where, "part": part})
        part = client_output.refusal(said) if growing.kind == REFUSAL else client_output.text(said, growing.tokens)
        if self._content is not None:
            self._content.append(part)
        return written + self._event("response.content_part.done", {**growing.where, "part": part})

    def _close_growing(self, growing: Growing) -> tuple[bytes, str]:
        said = "".join(growing.bits)
        fields = {**growing.where, WITH_ALL[growing.kind]: said}
        if growing.kind == TEXT:
            fields["logprobs"] = growing.tokens
        return self._event(f"response.{growing.kind}.done", fields), said

    def _close_all(self) -> bytes:
        written = self._close()
        if self._calls:
            written += b"".join([self._close_call(index) for index in list(self._calls)])
        return written

    def _go_on(self, growing: Growing, bit: str) -> bytes:
        number = self._sequence_number
        self._sequence_number = number + 1
        growing.bits.append(bit)
        return b'%b%d,"delta":%b}\n\n' % (growing.head, number, wire.encode(bit))

    # --- What is said

    def _text(self, event: TextDelta) -> bytes:
        growing = self._growing
        if event.logprobs is None and event.choice == 0:
            if growing is not None and growing.kind is TEXT:
                return self._go_on(growing, event.text)
            return self._say(TEXT, event.text)
        return b"" if event.choice else self._text_with_logprobs(event)

    def _text_with_logprobs(self, event: TextDelta) -> bytes:
        tokens = logprobs.write(event.logprobs)
        if not event.text and not tokens:
            return b""
        opened = b""
        growing = self._growing
        if growing is None or growing.kind is not TEXT:
            opened, growing = self._open_part(TEXT)
        growing.bits.append(event.text)
        growing.tokens += tokens
        fields = {**growing.where, "delta": event.text, "logprobs": tokens}
        return opened + self._event("response.output_text.delta", fields)

    def _refusal(self, event: RefusalDelta) -> bytes:
        self._refused = True
        return b"" if event.choice else self._say(REFUSAL, event.text)

    def _say(self, kind: str, text: str) -> bytes:
        growing = self._growing
        if growing is not None and growing.kind is kind:
            return self._go_on(growing, text)
        if not text:
            return b""
        opened, growing = self._open_part(kind)
        return opened + self._go_on(growing, text)

    def _open_part(self, kind: str) -> tuple[bytes, Growing]:
        """Opens a part of the message that is being written, or of a new one."""
        if self._content is None:
            written = self._begun() + self._close_all()
            index, self._item = self._add("msg")
            self._content = []
            self._thought = Thinking()
            written += self._added(index, client_output.message(self._item, [], terms.IN_PROGRESS))
        else:
            written = self._close_part()
        where = {
            "item_id": self._item,
            "output_index": len(self._output) - 1,
            "content_index": len(self._content),
        }
        self._growing = growing = Growing(kind, where)
        part = client_output.refusal("") if kind is REFUSAL else client_output.text("")
        return written + self._event("response.content_part.added", {**where, "part": part}), growing

    def _media(self, event: MediaDelta) -> bytes:
        if event.choice:
            return b""
        begun = self._begun()
        image = client_output.image(self._names.item("ig", len(self._output)), event.media)
        if image is None:
            return begun + self._say(TEXT, client_output.shown(event.media))
        written = begun + self._close_all()
        index, _ = self._add("ig", image)
        written += self._added(index, {**image, "status": "generating", "result": None})
        return written + self._done(index, image)

    # --- What is thought

    def _think(self, event: ThinkingDelta) -> bytes:
        if event.choice:
            return b""
        written = b""
        thought = self._thought
        is_thinking = bool(self._item) and self._content is None
        says = bool(event.text or event.signature or event.encrypted)
        if is_thinking:
            is_over = says and (thought.signature or thought.encrypted)
            if is_over or (event.id and thought.id and event.id != thought.id):
                written = self._close()
                thought, is_thinking = self._thought, False
        if event.id or event.signature or event.encrypted:
            self._thought = Thinking(
                signature=event.signature or thought.signature,
                encrypted=event.encrypted or thought.encrypted,
                family=event.family or thought.family,
                id=event.id or thought.id,
            )
        if not says:
            return written
        if not is_thinking:
            written += self._open_thought()
        if not event.text:
            return written
        if self._growing is None:
            where = {"item_id": self._item, "output_index": len(self._output) - 1, "summary_index": 0}
            self._growing = Growing(SUMMARY, where)
            part = {"type": "summary_text", "text": ""}
            written += self._event("response.reasoning_summary_part.added", {**where, "part": part})
        return written + self._go_on(self._growing, event.text)

    def _open_thought(self) -> bytes:
        thought = self._thought  # Its id may have come before anything else.
        written = self._begun() + self._close_all()
        self._thought = thought
        name = self._names.thought(thought, len(self._output))
        item = client_output.reasoning(name, "", None)
        index, self._item = self._add("rs", item)
        return written + self._added(index, item)

    # --- What is called

    def _begin_call(self, event: ToolCallStarted) -> bytes:
        if event.choice or event.index in self._calls:
            return b""
        written = self._begun() + self._close()
        newest = self._calls.get(self._newest)
        if newest is not None and newest.is_complete():
            written += self._close_call(self._newest)
        if event.signature:
            written += self._sign(event)
        native = self._natives.get(event.name)
        index, name = self._add(client_output.call_kind(native))
        call = self._calls[event.index] = Call(event, name, index, native)
        self._newest = event.index
        item = client_output.call(name, call.call_id, call.function, "", terms.IN_PROGRESS, native)
        return written + self._added(index, item)

    def _sign(self, event: ToolCallStarted) -> bytes:
        """The signature stands before the call, whose item comes next."""
        call_id = event.id or f"call_{len(self._output) + 1}"
        index, name = self._add("rs")
        item = client_output.reasoning(name, "", sealing.seal_call(call_id, event.signature))
        return self._added(index, {**item, "encrypted_content": None}) + self._done(index, item)

    def _go_on_call(self, event: ToolCallDelta) -> bytes:
        call = self._calls.get(event.index)
        # Of a call that never began, or is over: there is no place for it.
        if call is None or event.choice:
            return b""
        if call.is_told:
            return self._go_on(call.arguments, event.arguments)
        call.arguments.bits.append(event.arguments)
        return b""

    def _close_call(self, index: int) -> bytes:
        call = self._calls.pop(index)
        status = terms.COMPLETED if self._reason() is None else terms.INCOMPLETE
        arguments = call.arguments
        where = arguments.where
        if not call.is_told:
            said = "".join(arguments.bits)
            item = client_output.call(call.item, call.call_id, call.function, said, status, call.native)
            return self._custom_input(item, where) + self._done(where["output_index"], item)
        written = b"" if any(bit.strip() for bit in arguments.bits) else self._go_on(arguments, "{}")
        ended, said = self._close_growing(arguments)
        item = client_output.call(call.item, call.call_id, call.function, said, status, call.native)
        return written + ended + self._done(where["output_index"], item)

    def _custom_input(self, item: Item, where: dict[str, Any]) -> bytes:
        """The text of a custom tool at once; nothing for a search, which has none."""
        text = item.get("input")
        if text is None:
            return b""
        name = "response.custom_tool_call_input"
        told = self._event(f"{name}.delta", {**where, "delta": text}) if text else b""
        return told + self._event(f"{name}.done", {**where, "input": text})


_WRITERS: Mapping[type, Callable[[Events, Any], bytes]] = MappingProxyType(
    {
        Started: Events._begin,
        TextDelta: Events._text,
        RefusalDelta: Events._refusal,
        ThinkingDelta: Events._think,
        ToolCallStarted: Events._begin_call,
        ToolCallDelta: Events._go_on_call,
        MediaDelta: Events._media,
        Finished: Events._finished,
        UsageSeen: Events._see_usage,
        Ended: Events._end,
    }
)
