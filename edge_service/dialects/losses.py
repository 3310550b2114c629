"""The names of fields that a request loses in another dialect, as they may stand in a header and as a metric's label.

They are the fields of the published APIs, and the canonical model's. Any other field that a client sends is called
`(other)`: names that clients make up must not reach proxies and logs, or add time series.
"""

from __future__ import annotations

from collections.abc import Iterable

OTHER = "(other)"

_OF_REQUESTS = frozenset(
    {
        "cache_control",
        "client_metadata",
        "diagnostics",
        "frequency_penalty",
        "include",
        "logit_bias",
        "logprobs",
        "max_tokens",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_breakpoint",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "speed",
        "stop",
        "store",
        "stream_options",
        "task_type",
        "temperature",
        "title",
        "tools.strict",
        "top_k",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
        "verbosity",
    }
)

_OF_MESSAGES = frozenset(
    {
        "input.content.annotations",
        "input.content.detail",
        "input.phase",
        "input.web_search_call",
        "messages.content.citations",
        "messages.content.server_tool_use",
        "messages.content.transformations",
        "messages.detail",
        "messages.is_error",
        "messages.name",
        "messages.reasoning_details",
        "messages.thinking",
    }
)

_OF_SETTINGS = frozenset(
    {
        "output.description",
        "output.schema",
        "output.strict",
        "output_config.effort",
        "output_config.task_budget",
        "reasoning.context",
        "reasoning.effort",
        "reasoning.mode",
        "text.verbosity",
        "thinking.type",
        "tools.defer_loading",
        "tools.eager_input_streaming",
        "tools.input_examples",
        "tools.output_schema",
        "tools.tool_search",
        "tools.web_fetch",
        "tools.web_search",
    }
)

_OF_OTHERS = frozenset(
    {
        "best_of",
        "chat_template_kwargs",
        "enable_thinking",
        "guided_json",
        "ignore_eos",
        "length_penalty",
        "min_p",
        "min_tokens",
        "models",
        "parallel_tool_use",
        "plugins",
        "provider",
        "reasoning_format",
        "repetition_penalty",
        "safe_prompt",
        "skip_special_tokens",
        "stop_token_ids",
        "thinking",
        "top_a",
        "transforms",
        "usage",
    }
)
"""Fields that well-known providers of OpenAI's dialect have added to it."""

_OF_GEMINI = frozenset(
    {
        "generationConfig.audioTimestamp",
        "generationConfig.enableAffectiveDialog",
        "generationConfig.enableEnhancedCivicAnswers",
        "generationConfig.mediaResolution",
        "generationConfig.thinkingConfig.includeThoughts",
        "safetySettings",
        "serviceTier",
        "toolConfig.functionCallingConfig.mode",
        "toolConfig.includeServerSideToolInvocations",
        "toolConfig.retrievalConfig",
        "tools.functionDeclarations.behavior",
        "tools.functionDeclarations.response",
        "tools.functionDeclarations.responseJsonSchema",
        "tools.googleSearch",
        "tools.googleSearchRetrieval",
        "tools.urlContext",
    }
)

NAMES = _OF_REQUESTS | _OF_MESSAGES | _OF_SETTINGS | _OF_OTHERS | _OF_GEMINI


def told(dropped: Iterable[str]) -> tuple[str, ...]:
    """The names to tell, each once, in their order."""
    return tuple(dict.fromkeys(name if name in NAMES else OTHER for name in dropped))
