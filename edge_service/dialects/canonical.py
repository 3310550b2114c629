"""A conversation, its answer and the events of its stream, independent of any dialect: every translation goes through
it.

    client's dialect -> canonical -> provider's dialect, and the answer back

What two dialects can express has a field here. What only one can is named in `Request.unsaid` or `Request.bound`: the
former is left out, and the client is told; the latter would change the meaning, and only a provider of the client's own
dialect can take it.

JSON that nobody looks into (schemas, arguments) stays as it came. The values are msgspec's structs and not dataclasses,
since one is made for every event of a stream, at a third of the price.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Struct


class Family(StrEnum):
    """Whose models made something that only they can read: a signature, encrypted reasoning, the id of a file."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


# --- What messages are made of


class Text(Struct, frozen=True):
    text: str


class Refusal(Struct, frozen=True):
    """What the model said instead of an answer."""

    text: str


class MediaKind(StrEnum):
    IMAGE = "image"
    FILE = "file"
    AUDIO = "audio"
    VIDEO = "video"


class Media(Struct, frozen=True):
    """An image, a document, a recording. Exactly one of `url`, `data` and `file_id` is not empty."""

    kind: MediaKind
    media_type: str = ""
    """Such as `image/png`; empty where the client has not said it."""
    url: str = ""
    data: str = ""
    """Base64, as it came."""
    file_id: str = ""
    """At the provider that holds the file."""
    family: Family | None = None
    """Whose file it is."""
    name: str = ""
    detail: str = ""
    """How closely to look at an image: low, high, auto; empty for unsaid."""


class Thinking(Struct, frozen=True):
    """What the model thought. A part of another family's making is not replayed: its signature would be refused."""

    text: str = ""
    """Empty where it is encrypted, or was left out."""
    signature: str = ""
    """Proves to its family that the text is untouched."""
    encrypted: str = ""
    """What can be handed back but not read: Anthropic's redacted thinking, OpenAI's encrypted content."""
    family: Family | None = None
    """Whose signature, or encryption, it is; None if there is neither."""
    id: str = ""
    """OpenAI's id of the reasoning item."""


class ToolCall(Struct, frozen=True):
    id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it: valid or not."""
    signature: str = ""
    """Gemini signs calls."""


class ToolResult(Struct, frozen=True):
    call_id: str
    name: str
    """Of the tool; empty where the client's dialect does not say it and no call in the conversation has the id."""
    content: tuple[Text | Media, ...]
    is_error: bool = False


Part: TypeAlias = Text | Refusal | Media | Thinking | ToolCall | ToolResult


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    """The results of tools too."""
    ASSISTANT = "assistant"


class Message(Struct, frozen=True):
    role: Role
    parts: tuple[Part, ...]


# --- What is asked


class ToolKind(StrEnum):
    """What a tool is to the client."""

    FUNCTION = "function"
    CUSTOM = "custom"
    """It takes a text, of any form or by a grammar."""
    SEARCH = "search"
    """It finds other tools."""


class Native(Struct, frozen=True):
    """A tool as the client knows it, where that is not a function of the tool's name."""

    kind: ToolKind
    name: str
    namespace: str = ""
    """The group of tools that it is in."""


class Tool(Struct, frozen=True):
    """A function that the client carries out."""

    name: str
    description: str = ""
    parameters: msgspec.Raw | None = None
    """JSON schema of an object; None for no parameters."""
    strict: bool | None = None
    native: Native | None = None
    """Calls of it are turned back into what the client has offered, see `native_tools`."""


class Choosing(StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    """Any tool, but one."""
    NAMED = "named"


class ToolChoice(Struct, frozen=True):
    mode: Choosing
    names: tuple[str, ...] = ()
    """The one that is named; or, with another mode, the only ones that may be used."""


class OutputKind(StrEnum):
    TEXT = "text"
    JSON = "json"
    SCHEMA = "schema"


class Output(Struct, frozen=True):
    """The form of the answer."""

    kind: OutputKind
    schema: msgspec.Raw | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Effort(StrEnum):
    """How hard to think, from not at all."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class Reasoning(Struct, frozen=True):
    """Each field is None or empty where nothing was said. Who has only a budget, or only an effort, gets the other by
    `edge_service.dialects.reasoning`."""

    effort: Effort | None = None
    budget_tokens: int | None = None
    """0 turns it off; -1 leaves it to the model."""
    shown: bool | None = None
    """Whether the client wants to see thoughts."""
    summary: str = ""
    """OpenAI's auto, concise or detailed."""


class Request(Struct, frozen=True):
    """A client's request. What the client has not said is None, an empty text or an empty tuple."""

    model: str
    stream: bool
    messages: tuple[Message, ...]
    """In order; system messages among them, where the client has put them."""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: Output | None = None
    reasoning: Reasoning | None = None
    max_tokens: int | None = None
    """Of the answer, thinking included."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    """How many answers."""
    logprobs: bool | None = None
    top_logprobs: int | None = None
    verbosity: str = ""
    """low, medium or high."""
    service_tier: str = ""
    """auto, default, flex, priority."""
    user: str = ""
    """An opaque id of the end user, which providers use to find abuse."""
    metadata: Mapping[str, str] = MappingProxyType({})
    wants_usage: bool = True
    """Whether the client wants usage in a stream."""
    unsaid: tuple[str, ...] = ()
    """Fields, by their path in the client's dialect, that have no place here and do without."""
    bound: tuple[str, ...] = ()
    """Fields, likewise, that change the meaning and that only the client's own dialect can say."""


# --- What is answered


class Finish(StrEnum):
    """Why an answer ends."""

    STOP = "stop"
    """It is complete, or came to one of the request's stop sequences."""
    LENGTH = "length"
    CONTEXT = "context"
    """The model's context is full."""
    TOOL_CALLS = "tool-calls"
    FILTERED = "filtered"
    """The provider has stopped it."""
    REFUSED = "refused"
    """The model would not."""
    PAUSED = "paused"
    """To be continued by another request."""


class Usage(Struct, frozen=True):
    """Tokens. Dialects count differently; here every total includes its parts."""

    input_tokens: int = 0
    """All of them: those read from a cache and those written to one too."""
    output_tokens: int = 0
    """Those of reasoning too."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Choice(Struct, frozen=True):
    parts: tuple[Text | Refusal | Media | Thinking | ToolCall, ...]
    finish: Finish
    stop_sequence: str = ""
    """The one that ended it, where the provider says so."""
    logprobs: msgspec.Raw | None = None
    """In OpenAI's shape."""


class Answer(Struct, frozen=True):
    id: str
    created_at: int
    """Seconds since the epoch; 0 if the provider does not say."""
    choices: tuple[Choice, ...]
    usage: Usage
    service_tier: str = ""


# --- What is answered bit by bit


class Started(Struct, frozen=True):
    """The answer begins. `usage` is what is known of the input by now."""

    id: str
    created_at: int = 0
    usage: Usage | None = None


class TextDelta(Struct, frozen=True):
    text: str
    choice: int = 0
    logprobs: msgspec.Raw | None = None


class RefusalDelta(Struct, frozen=True):
    text: str
    choice: int = 0


class ThinkingDelta(Struct, frozen=True):
    """`text` continues the thought; the other fields, which may come without text, are as in `Thinking`."""

    text: str = ""
    signature: str = ""
    encrypted: str = ""
    family: Family | None = None
    id: str = ""
    choice: int = 0


class ToolCallStarted(Struct, frozen=True):
    index: int
    """Which of the answer's calls, from 0."""
    id: str
    name: str
    signature: str = ""
    choice: int = 0


class ToolCallDelta(Struct, frozen=True):
    index: int
    arguments: str
    """A fragment of JSON text."""
    choice: int = 0


class MediaDelta(Struct, frozen=True):
    media: Media
    choice: int = 0


class Finished(Struct, frozen=True):
    finish: Finish
    stop_sequence: str = ""
    choice: int = 0


class UsageSeen(Struct, frozen=True):
    """Replaces what was said before."""

    usage: Usage


class Ended(Struct, frozen=True):
    """The terminal marker: nothing follows."""


Event: TypeAlias = (
    Started
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ToolCallStarted
    | ToolCallDelta
    | MediaDelta
    | Finished
    | UsageSeen
    | Ended
)


def is_content(event: Event) -> bool:
    """Whether a reader would see something of it: after it the stream cannot move to another target."""
    match event:
        case TextDelta(text=text) | RefusalDelta(text=text) | ThinkingDelta(text=text) | ToolCallDelta(arguments=text):
            return bool(text)
        case ToolCallStarted() | MediaDelta():
            return True
        case _:
            return False
