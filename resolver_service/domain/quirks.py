"""How a provider differs from others of its dialect. The words are explained in `config.example.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MaxTokensField(StrEnum):
    """The name of the field, in OpenAI's dialect, that limits the tokens of the answer."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


class SystemRole(StrEnum):
    """The role of system prompts in the OpenAI dialect."""

    SYSTEM = "system"
    DEVELOPER = "developer"


class EffortField(StrEnum):
    """Where the reasoning effort stands in OpenAI's dialect."""

    REASONING_EFFORT = "reasoning_effort"
    REASONING = "reasoning.effort"
    """Within the object `reasoning`, as OpenRouter has it."""


class Effort(StrEnum):
    """The reasoning effort, from none to the most."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class ThoughtsField(StrEnum):
    """Where messages of the OpenAI dialect give a model its thoughts back."""

    REASONING_CONTENT = "reasoning_content"
    REASONING = "reasoning"
    REASONING_DETAILS = "reasoning_details"


class Feature(StrEnum):
    """Features of requests in OpenAI's dialect that not every provider has. `x-forebay-dropped` uses the same words."""

    FREQUENCY_PENALTY = "frequency_penalty"
    LOGPROBS = "logprobs"
    MESSAGES_AUDIO = "messages.audio"
    MESSAGES_FILE = "messages.file"
    MESSAGES_IMAGE = "messages.image"
    MESSAGES_REFUSAL = "messages.refusal"
    MESSAGES_THINKING = "messages.thinking"
    MAX_TOKENS = "max_tokens"
    METADATA = "metadata"
    N = "n"
    OUTPUT = "output"
    OUTPUT_SCHEMA = "output.schema"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls"
    PRESENCE_PENALTY = "presence_penalty"
    REASONING = "reasoning"
    SEED = "seed"
    SERVICE_TIER = "service_tier"
    STOP = "stop"
    STREAM_OPTIONS = "stream_options"
    TEMPERATURE = "temperature"
    TOOL_CHOICE = "tool_choice"
    TOOLS = "tools"
    TOOLS_STRICT = "tools.strict"
    TOP_K = "top_k"
    TOP_LOGPROBS = "top_logprobs"
    TOP_P = "top_p"
    USER = "user"
    VERBOSITY = "verbosity"


class AuthHeader(StrEnum):
    """Where the credential stands."""

    BEARER = "bearer"
    """`authorization: Bearer ...`. The others are names of headers that hold the credential alone."""
    X_API_KEY = "x-api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    API_KEY = "api-key"


@dataclass(frozen=True, slots=True)
class Quirks:
    """The defaults are what nearly every server understands."""

    max_tokens_field: MaxTokensField = MaxTokensField.MAX_TOKENS
    system_role: SystemRole = SystemRole.SYSTEM
    drop: tuple[str, ...] = ()
    """Top-level fields of requests that it refuses."""
    auth_header: AuthHeader | None = None
    """None: as the dialect has it."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with every request; names in lower case."""
    api_version: str = ""
    """The query parameter of that name; empty for none."""
    takes: tuple[Feature, ...] = ()
    """Features that it has, though many providers do not."""
    lacks: tuple[Feature, ...] = ()
    """Features that it does not have, though most providers do."""
    rename: tuple[tuple[str, str], ...] = ()
    """Top-level fields of requests that it calls by other names, each with its own for it."""
    efforts: tuple[Effort, ...] = ()
    """The words for reasoning effort that it takes; none if that is not known."""
    effort_field: EffortField = EffortField.REASONING_EFFORT
    thoughts: tuple[ThoughtsField, ...] = ()
    """The fields in which it takes thoughts back."""
    max_stops: int = 4
    """How many stop sequences it takes."""
    call_id_chars: int = 0
    """The length of call ids, in letters and digits, for one that takes no others; 0 if any will do."""

    @property
    def deployment_paths(self) -> bool:
        """Whether paths are of Azure's older form. It is the one whose versions are dates; those of the newer one are
        words: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle"""
        return self.api_version[:1].isdigit()


NO_QUIRKS = Quirks()
