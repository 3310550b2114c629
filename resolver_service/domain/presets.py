"""Well-known providers, so that a configuration has to name just the provider and its credentials.

`responses` is true where the Responses API is whole: where answers are kept, so that `previous_response_id` works.
The facts are those of the page at each row, as of 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from resolver_service.domain.catalog import Dialect
from resolver_service.domain.quirks import NO_QUIRKS, AuthHeader, MaxTokensField, Quirks


@dataclass(frozen=True, slots=True)
class Preset:
    """What a provider's entry need not say."""

    base_url: str = ""
    """Empty where everyone has an address of their own."""
    dialect: Dialect = Dialect.OPENAI
    responses: bool = False
    quirks: Quirks = NO_QUIRKS
    is_local: bool = False
    """The address is on this machine."""


def _local(port: int, *, responses: bool = False) -> Preset:
    return Preset(f"http://127.0.0.1:{port}/v1", responses=responses, is_local=True)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # https://platform.openai.com/docs/api-reference/chat/create: its reasoning models refuse max_tokens.
        "openai": Preset(
            "https://api.openai.com/v1",
            responses=True,
            quirks=Quirks(max_tokens_field=MaxTokensField.MAX_COMPLETION_TOKENS),
        ),
        # https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle: no api-version since August 2025.
        "azure-openai": Preset(
            responses=True,
            quirks=Quirks(max_tokens_field=MaxTokensField.MAX_COMPLETION_TOKENS, auth_header=AuthHeader.API_KEY),
        ),
        # https://platform.claude.com/docs/en/api/overview
        "anthropic": Preset("https://api.anthropic.com", Dialect.ANTHROPIC),
        # https://ai.google.dev/api
        "gemini": Preset("https://generativelanguage.googleapis.com", Dialect.GEMINI),
        # https://openrouter.ai/docs/api-reference/overview: its Responses API keeps nothing.
        "openrouter": Preset("https://openrouter.ai/api/v1"),
        # https://console.groq.com/docs/openai: these fields are answered with 400.
        "groq": Preset(
            "https://api.groq.com/openai/v1",
            quirks=Quirks(drop=("logit_bias", "logprobs", "top_logprobs")),
        ),
        # https://docs.mistral.ai/api: fields that are not listed there are answered with 422, max_completion_tokens and
        # OpenAI's `seed` among them. Usage comes with the last event of every stream.
        "mistral": Preset(
            "https://api.mistral.ai/v1",
            quirks=Quirks(
                drop=(
                    *("logit_bias", "logprobs", "top_logprobs", "seed", "service_tier", "store", "stream_options"),
                    *("user", "verbosity"),
                )
            ),
        ),
        # https://api-docs.deepseek.com: without /v1, and without the role `developer`.
        "deepseek": Preset("https://api.deepseek.com"),
        # https://docs.x.ai/developers/model-capabilities/text/comparison
        "xai": Preset("https://api.x.ai/v1", responses=True),
        # https://docs.together.ai/docs/inference/openai-compatibility
        "together": Preset("https://api.together.ai/v1"),
        # https://docs.fireworks.ai/guides/response-api
        "fireworks": Preset("https://api.fireworks.ai/inference/v1", responses=True),
        # https://docs.ollama.com/api/openai-compatibility: its Responses API keeps nothing.
        "ollama": _local(11434),
        # https://docs.vllm.ai/en/stable/serving/openai_compatible_server: it keeps answers only when told to.
        "vllm": _local(8000),
        # https://lmstudio.ai/docs/developer/openai-compat
        "lm-studio": _local(1234, responses=True),
        # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
        "llama-cpp": _local(8080),
    }
)
