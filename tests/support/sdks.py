"""The official libraries of OpenAI, Anthropic and Google, each asked in its four ways, and what each of them sees."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import anthropic
import openai
import pydantic
from google import genai
from google.genai import types

from tests.support.replies import Usage

CLIENTS = ("chat", "responses", "anthropic", "gemini")
WAYS = ("whole", "streamed", "whole, synchronous", "streamed, synchronous")


@dataclass
class Seen:
    """An answer as its reader has it."""

    text: str = ""
    thought: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """By name and arguments."""
    finish: str = ""
    """As in `replies.Reply`."""
    usage: Usage | None = None
    parsed: Any = None
    """What the library has made of it, where it was given a type."""
    said: list[Any] = field(default_factory=list)
    """What the reader puts into the conversation for it."""


@dataclass(frozen=True)
class Sdks:
    """The libraries, set up once: it takes longer than a request."""

    openai: openai.AsyncOpenAI
    openai_now: openai.OpenAI
    anthropic: anthropic.AsyncAnthropic
    anthropic_now: anthropic.Anthropic
    google: genai.Client

    async def ask(self, client: str, way: str, asked: Mapping[str, Any]) -> Seen:
        """A request of one library for what its method takes by these names, in one of the `WAYS`."""
        return await _ASK[client](self, asked, streams="streamed" in way, waits="synchronous" in way)


@contextlib.asynccontextmanager
async def sdks(url: str) -> AsyncIterator[Sdks]:
    """For the edge at this URL."""
    async with contextlib.AsyncExitStack() as stack:
        enter, enter_async = stack.enter_context, stack.enter_async_context
        of_openai = {"base_url": f"{url}/v1", "api_key": "unused", "max_retries": 0}
        of_anthropic = {"base_url": url, "api_key": "unused", "max_retries": 0}
        google = genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=url))
        stack.callback(google.close)
        stack.push_async_callback(google.aio.aclose)
        yield Sdks(
            await enter_async(openai.AsyncOpenAI(**of_openai)),
            enter(openai.OpenAI(**of_openai)),
            await enter_async(anthropic.AsyncAnthropic(**of_anthropic)),
            enter(anthropic.Anthropic(**of_anthropic)),
            google,
        )


def _type(asked: Mapping[str, Any], name: str) -> bool:
    """Whether the library is given a type to parse the answer into."""
    return isinstance(asked.get(name), type)


# --- OpenAI's chat completions


async def _chat(sdks: Sdks, asked: Mapping[str, Any], *, streams: bool, waits: bool) -> Seen:
    parses = _type(asked, "response_format")
    if streams and not parses:
        asked = {**asked, "stream": True, "stream_options": {"include_usage": True}}
        if waits:
            return _chat_chunks(await asyncio.to_thread(lambda: list(sdks.openai_now.chat.completions.create(**asked))))
        return _chat_chunks([chunk async for chunk in await sdks.openai.chat.completions.create(**asked)])
    now, later = sdks.openai_now.chat.completions, sdks.openai.chat.completions
    if streams:
        asked = {**asked, "stream_options": {"include_usage": True}}
        if waits:
            return _chat_seen(await asyncio.to_thread(_drained, now.stream, asked, "get_final_completion"))
        async with later.stream(**asked) as stream:
            return _chat_seen(await stream.get_final_completion())
    if waits:
        return _chat_seen(await asyncio.to_thread(now.parse if parses else now.create, **asked))
    return _chat_seen(await (later.parse if parses else later.create)(**asked))


def _drained(method: Callable[..., Any], asked: Mapping[str, Any], end: str) -> Any:
    """A stream of a synchronous helper, read to its end."""
    with method(**asked) as stream:
        return getattr(stream, end)()


_CHAT_FINISHES = {"stop": "stop", "length": "length", "tool_calls": "calls", "content_filter": "refused"}


def _chat_usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    of_input, of_output = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = 0 if of_input is None else of_input.cached_tokens
    reasoning = 0 if of_output is None else of_output.reasoning_tokens
    return Usage(usage.prompt_tokens, cached, usage.completion_tokens, reasoning)


def _chat_seen(answer: Any) -> Seen:
    choice = answer.choices[0]
    message = choice.message
    return Seen(
        text=message.content or message.refusal or "",
        thought=getattr(message, "reasoning_content", None) or "",
        calls=[(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()],
        finish="refused" if message.refusal else _CHAT_FINISHES[choice.finish_reason],
        usage=_chat_usage(answer.usage),
        parsed=getattr(message, "parsed", None),
        said=[message.model_dump(exclude_none=True, exclude={"parsed", "annotations", "audio"})],
    )


def _chat_chunks(chunks: Iterable[Any]) -> Seen:
    """As most programs read them."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    seen, refusal = Seen(), ""
    for chunk in chunks:
        seen.usage = _chat_usage(chunk.usage) or seen.usage
        for choice in chunk.choices:
            delta = choice.delta
            message["content"] += delta.content or ""
            refusal += delta.refusal or ""
            seen.thought += getattr(delta, "reasoning_content", None) or ""
            message.setdefault("reasoning_details", []).extend(getattr(delta, "reasoning_details", None) or ())
            for call in delta.tool_calls or ():
                calls = message.setdefault("tool_calls", [])
                if call.index == len(calls):
                    function = {"name": call.function.name, "arguments": ""}
                    calls.append({"id": call.id, "type": "function", "function": function})
                calls[call.index]["function"]["arguments"] += call.function.arguments or ""
            seen.finish = _CHAT_FINISHES[choice.finish_reason] if choice.finish_reason else seen.finish
    if refusal:
        seen.finish = "refused"
    functions = [call["function"] for call in message.get("tool_calls", ())]
    seen.calls = [(function["name"], json.loads(function["arguments"])) for function in functions]
    seen.text = message["content"] or refusal
    seen.said = [message if message["reasoning_details"] else message | {"reasoning_content": seen.thought}]
    return seen


# --- OpenAI's responses


async def _responses(sdks: Sdks, asked: Mapping[str, Any], *, streams: bool, waits: bool) -> Seen:
    now, later = sdks.openai_now.responses, sdks.openai.responses
    parses = _type(asked, "text_format")
    if streams and not parses:
        asked = {**asked, "stream": True}
        if waits:
            return _events_seen(await asyncio.to_thread(lambda: list(now.create(**asked))))
        return _events_seen([event async for event in await later.create(**asked)])
    if streams and waits:
        return _response_seen(await asyncio.to_thread(_drained, now.stream, asked, "get_final_response"))
    if streams:
        async with later.stream(**asked) as stream:
            return _response_seen(await stream.get_final_response())
    if waits:
        return _response_seen(await asyncio.to_thread(now.parse if parses else now.create, **asked))
    return _response_seen(await (later.parse if parses else later.create)(**asked))


def _events_seen(events: list[Any]) -> Seen:
    """What the last event has is what those before it have told."""
    seen = _response_seen(events[-1].response)
    kinds = ("response.output_text.delta", "response.refusal.delta")
    assert "".join(event.delta for event in events if event.type in kinds) == seen.text
    thoughts = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
    assert "".join(event.delta for event in events if event.type in thoughts) == seen.thought
    return seen


def _response_seen(response: Any) -> Seen:
    contents = [content for item in response.output if item.type == "message" for content in item.content]
    refusal = "".join(content.refusal for content in contents if content.type == "refusal")
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
    calls = [(it.name, json.loads(it.arguments)) for it in response.output if it.type == "function_call"]
    incomplete = response.incomplete_details
    if incomplete is not None:
        finish = {"max_output_tokens": "length", "content_filter": "refused"}[incomplete.reason]
    else:
        assert response.status == "completed"
        finish = "refused" if refusal else "calls" if calls else "stop"
    usage = response.usage
    return Seen(
        text=response.output_text or refusal,
        thought="".join(thoughts),
        calls=calls,
        finish=finish,
        usage=Usage(
            usage.input_tokens,
            usage.input_tokens_details.cached_tokens,
            usage.output_tokens,
            usage.output_tokens_details.reasoning_tokens,
        ),
        parsed=getattr(response, "output_parsed", None),
        said=[item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output],
    )


# --- Anthropic's messages


async def _anthropic(sdks: Sdks, asked: Mapping[str, Any], *, streams: bool, waits: bool) -> Seen:
    now, later = sdks.anthropic_now.messages, sdks.anthropic.messages
    parses = _type(asked, "output_format")
    if streams and waits:
        return _message_seen(await asyncio.to_thread(_drained, now.stream, asked, "get_final_message"))
    if streams:
        async with later.stream(**asked) as stream:
            return _message_seen(await stream.get_final_message())
    if waits:
        return _message_seen(await asyncio.to_thread(now.parse if parses else now.create, **asked))
    return _message_seen(await (later.parse if parses else later.create)(**asked))


_STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "calls",
    "max_tokens": "length",
    "refusal": "refused",
}


def _message_seen(message: Any) -> Seen:
    blocks: Mapping[str, list[Any]] = {kind: [] for kind in ("text", "thinking", "redacted_thinking", "tool_use")}
    for block in message.content:
        blocks[block.type].append(block)
    usage = message.usage
    details = usage.output_tokens_details
    return Seen(
        text="".join(block.text for block in blocks["text"]),
        thought="".join(block.thinking for block in blocks["thinking"]),
        calls=[(block.name, block.input) for block in blocks["tool_use"]],
        finish=_STOP_REASONS[message.stop_reason],
        usage=Usage(
            usage.input_tokens + usage.cache_read_input_tokens,
            usage.cache_read_input_tokens,
            usage.output_tokens,
            0 if details is None else details.thinking_tokens,
        ),
        parsed=getattr(message, "parsed_output", None),
        said=[
            {
                "role": "assistant",
                "content": [
                    block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content
                ],
            }
        ],
    )


# --- Gemini


async def _gemini(sdks: Sdks, asked: Mapping[str, Any], *, streams: bool, waits: bool) -> Seen:
    now, later = sdks.google.models, sdks.google.aio.models
    if streams and waits:
        return _gemini_seen(await asyncio.to_thread(lambda: list(now.generate_content_stream(**asked))))
    if streams:
        return _gemini_seen([chunk async for chunk in await later.generate_content_stream(**asked)])
    if waits:
        return _gemini_seen([await asyncio.to_thread(now.generate_content, **asked)])
    return _gemini_seen([await later.generate_content(**asked)])


_FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "refused"}


def _gemini_seen(chunks: list[types.GenerateContentResponse]) -> Seen:
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    parts = [part for candidate in candidates if candidate.content for part in candidate.content.parts or ()]
    calls = [(part.function_call.name, part.function_call.args) for part in parts if part.function_call]
    reason = candidates[-1].finish_reason
    assert reason is not None
    usage = chunks[-1].usage_metadata
    assert usage is not None
    text = "".join(part.text or "" for part in parts if not part.thought)
    return Seen(
        text=text,
        thought="".join(part.text or "" for part in parts if part.thought),
        calls=calls,
        finish="calls" if calls else _FINISH_REASONS[reason.name],
        usage=Usage(
            usage.prompt_token_count or 0,
            usage.cached_content_token_count or 0,
            (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
            usage.thoughts_token_count or 0,
        ),
        parsed=_parsed(chunks),
        said=[types.Content(role="model", parts=parts)],
    )


def _parsed(chunks: list[types.GenerateContentResponse]) -> Any:
    """Of a stream the library parses nothing, so its reader does."""
    if len(chunks) == 1:
        return chunks[0].parsed
    return None


_ASK = MappingProxyType({"chat": _chat, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini})


class Weather(pydantic.BaseModel):
    """What answers are parsed into."""

    city: str
    degrees: int
