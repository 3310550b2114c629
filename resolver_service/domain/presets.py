"""Well-known providers, so that a configuration has to name just the provider and its credentials.

`responses` is true where the Responses API is whole: where answers are kept, so that `previous_response_id` works.
The facts are those of the page at each row, as of 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from resolver_service.domain.providers import Dialect
from resolver_service.domain.quirks import (
    NO_QUIRKS,
    AuthHeader,
    Effort,
    EffortField,
    Feature,
    MaxTokensField,
    Quirks,
    ThoughtsField,
)


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


def _local(port: int, quirks: Quirks = NO_QUIRKS, *, responses: bool = False) -> Preset:
    return Preset(f"http://127.0.0.1:{port}/v1", responses=responses, quirks=quirks, is_local=True)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # https://platform.openai.com/docs/api-reference/chat/create: its reasoning models refuse max_tokens. `metadata`
        # is for answers that it keeps, and `verbosity` for some of its models.
        "openai": Preset(
            "https://api.openai.com/v1",
            responses=True,
            quirks=Quirks(
                max_tokens_field=MaxTokensField.MAX_COMPLETION_TOKENS,
                takes=(
                    *(Feature.MESSAGES_FILE, Feature.MESSAGES_REFUSAL, Feature.SERVICE_TIER, Feature.TOOLS_STRICT),
                    Feature.USER,
                ),
            ),
        ),
        # https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle: no api-version since August 2025.
        # https://learn.microsoft.com/azure/foundry/openai/latest: what chat completions take.
        "azure-openai": Preset(
            responses=True,
            quirks=Quirks(
                max_tokens_field=MaxTokensField.MAX_COMPLETION_TOKENS,
                auth_header=AuthHeader.API_KEY,
                takes=(Feature.MESSAGES_REFUSAL, Feature.TOOLS_STRICT, Feature.USER),
            ),
        ),
        # https://platform.claude.com/docs/en/api/overview
        "anthropic": Preset("https://api.anthropic.com", Dialect.ANTHROPIC),
        # https://ai.google.dev/api
        "gemini": Preset("https://generativelanguage.googleapis.com", Dialect.GEMINI),
        # https://openrouter.ai/docs/api-reference/overview: its Responses API keeps nothing.
        # https://openrouter.ai/docs/api-reference/parameters, and for files .../features/multimodal/pdfs
        # https://openrouter.ai/docs/use-cases/reasoning-tokens: `reasoning` is for every model, and ignored by those
        # that do not think; `reasoning_effort` is for a few.
        "openrouter": Preset(
            "https://openrouter.ai/api/v1",
            quirks=Quirks(
                takes=(Feature.MESSAGES_FILE, Feature.TOP_K, Feature.USER, Feature.VERBOSITY),
                efforts=tuple(Effort),
                effort_field=EffortField.REASONING,
                thoughts=(ThoughtsField.REASONING, ThoughtsField.REASONING_DETAILS),
            ),
        ),
        # https://console.groq.com/docs/openai: these fields are answered with 400, and so is n, unless it is 1.
        # https://console.groq.com/docs/api-reference#chat-create. Which words for how hard to think are taken depends
        # on the model: https://console.groq.com/docs/reasoning
        "groq": Preset(
            "https://api.groq.com/openai/v1",
            quirks=Quirks(drop=("logit_bias", "logprobs", "top_logprobs"), takes=(Feature.USER,), lacks=(Feature.N,)),
        ),
        # https://docs.mistral.ai/api: fields that are not listed there are answered with 422, max_completion_tokens and
        # `seed` among them, which it calls otherwise. Usage comes with the last event of every stream.
        # https://github.com/langchain-ai/langchain/pull/24668: the ids of calls.
        # https://github.com/charmbracelet/crush/issues/1590: thoughts in messages are answered with 422.
        "mistral": Preset(
            "https://api.mistral.ai/v1",
            quirks=Quirks(
                drop=(
                    *("logit_bias", "logprobs", "top_logprobs", "service_tier", "store", "stream_options"),
                    *("user", "verbosity"),
                ),
                lacks=(Feature.MESSAGES_THINKING,),
                rename=(("max_completion_tokens", "max_tokens"), ("seed", "random_seed")),
                call_id_chars=9,
            ),
        ),
        # https://api-docs.deepseek.com: without /v1, and without the role `developer`.
        # https://api-docs.deepseek.com/api/create-chat-completion: no schema for answers, up to 16 stop sequences.
        # https://api-docs.deepseek.com/guides/thinking_mode: words that it does not have are taken as the nearest one;
        # who thinks wants its thoughts back with every call.
        "deepseek": Preset(
            "https://api.deepseek.com",
            quirks=Quirks(
                lacks=(Feature.N, Feature.OUTPUT_SCHEMA, Feature.PARALLEL_TOOL_CALLS, Feature.SEED),
                efforts=tuple(effort for effort in Effort if effort is not Effort.NONE),
                thoughts=(ThoughtsField.REASONING_CONTENT,),
                max_stops=16,
            ),
        ),
        # https://docs.x.ai/developers/model-capabilities/text/comparison. Which words for how hard to think are taken
        # depends on the model: https://docs.x.ai/developers/model-capabilities/text/reasoning#effort-levels
        "xai": Preset("https://api.x.ai/v1", responses=True),
        # https://docs.together.ai/docs/inference/openai-compatibility
        # https://docs.together.ai/reference/chat-completions-1
        "together": Preset("https://api.together.ai/v1", quirks=Quirks(takes=(Feature.TOP_K,))),
        # https://docs.fireworks.ai/guides/response-api
        # https://docs.fireworks.ai/api-reference/post-chatcompletions and .../guides/reasoning
        "fireworks": Preset(
            "https://api.fireworks.ai/inference/v1",
            responses=True,
            quirks=Quirks(
                takes=(Feature.METADATA, Feature.TOP_K),
                efforts=(Effort.NONE, Effort.LOW, Effort.MEDIUM, Effort.HIGH),
                thoughts=(ThoughtsField.REASONING_CONTENT,),
            ),
        ),
        # https://docs.ollama.com/api/openai-compatibility: its Responses API keeps nothing; `tool_choice` and `n` are
        # not looked at. Models that do not think answer `reasoning_effort` with 400.
        # https://github.com/ollama/ollama/blob/main/openai/openai.go: thoughts in messages.
        "ollama": _local(
            11434,
            Quirks(
                lacks=(Feature.N, Feature.PARALLEL_TOOL_CALLS, Feature.TOOL_CHOICE),
                thoughts=(ThoughtsField.REASONING,),
            ),
        ),
        # https://docs.vllm.ai/en/stable/serving/openai_compatible_server: it keeps answers only when told to.
        "vllm": _local(8000, Quirks(takes=(Feature.TOP_K,))),
        # https://lmstudio.ai/docs/developer/openai-compat
        # https://lmstudio.ai/docs/developer/openai-compat/chat-completions
        "lm-studio": _local(1234, Quirks(takes=(Feature.TOP_K,)), responses=True),
        # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, and for thoughts in messages
        # https://github.com/ggml-org/llama.cpp/blob/master/common/chat.cpp
        "llama-cpp": _local(8080, Quirks(takes=(Feature.TOP_K,), thoughts=(ThoughtsField.REASONING_CONTENT,))),
    }
)
