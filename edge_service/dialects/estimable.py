"""The texts of a request, for a tokenizer, and a guess at the tokens of everything else.

Guesses are rather too high: a client that trims a conversation to fit then trims a little more, and does not run into
the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from edge_service.dialects.canonical import (
    Media,
    MediaKind,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

MEDIA_TOKENS: Mapping[MediaKind, int] = MappingProxyType(
    {
        # Anthropic's most for what is not of high resolution (1568 pixels on the longer side); Gemini takes 258 a tile,
        # OpenAI 85 to 1,500: https://platform.claude.com/docs/en/build-with-claude/vision
        MediaKind.IMAGE: 1600,
        # A page of a PDF as Anthropic has it (1,500 to 3,000); how many pages there are, nobody has looked.
        MediaKind.FILE: 3000,
        # Gemini takes 32 a second, of video 263 or 300: half a minute, and ten seconds.
        MediaKind.AUDIO: 1000,
        MediaKind.VIDEO: 3000,
    }
)
"""However large it is."""

MESSAGE_TOKENS = 4
"""Around each message: https://github.com/openai/openai-cookbook, `How_to_count_tokens_with_tiktoken`."""
TOOL_TOKENS = 8
"""Around each tool's declaration, and each call."""

_TEXT_CHARS_PER_TOKEN = 16 / 3
"""Of a text file in base64: four bytes a token."""


@dataclass(frozen=True, slots=True)
class Estimable:
    texts: tuple[str, ...]
    tokens: int
    """What everything else is guessed to come to."""


def of(request: Request) -> Estimable:
    tokens = MESSAGE_TOKENS * len(request.messages) + TOOL_TOKENS * len(request.tools)
    texts: list[str] = []
    for message in request.messages:
        tokens += _tokens(message.parts)
        texts += _texts(message.parts)
    for tool in request.tools:
        texts += (tool.name, tool.description)
        if tool.parameters is not None:
            texts.append(_json(tool.parameters))
    if request.output is not None and request.output.schema is not None:
        texts.append(_json(request.output.schema))
    return Estimable(tuple(filter(None, texts)), tokens)


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case Text(text) | Refusal(text) | Thinking(text):
                yield text
            case ToolCall():
                yield part.name
                yield part.arguments
            case ToolResult():
                yield from _texts(part.content)
            case Media():
                yield part.name


def _tokens(parts: Iterable[Part]) -> int:
    tokens = 0
    for part in parts:
        match part:
            case Media():
                tokens += _of_media(part)
            case ToolCall():
                tokens += TOOL_TOKENS
            case ToolResult():
                tokens += _tokens(part.content)
    return tokens


def _of_media(media: Media) -> int:
    if media.data and media.media_type.startswith("text/"):
        return int(len(media.data) / _TEXT_CHARS_PER_TOKEN)
    return MEDIA_TOKENS[media.kind]


def _json(raw: msgspec.Raw) -> str:
    return bytes(raw).decode(errors="replace")
