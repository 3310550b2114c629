"""Tokens as Gemini counts them: thoughts apart from the answer, what was cached as part of the prompt, and what went
into tools that Google runs apart from it.

Source: https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from edge_service.dialects import canonical
from edge_service.dialects.gemini import wire


def read(usage: wire.Usage) -> canonical.Usage:
    thoughts = usage.thoughts_token_count or 0
    return canonical.Usage(
        input_tokens=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        output_tokens=(usage.candidates_token_count or 0) + thoughts,
        cache_read_tokens=usage.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
    )


def write(usage: canonical.Usage) -> dict[str, int]:
    written = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": max(usage.output_tokens - usage.reasoning_tokens, 0),
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cache_read_tokens:
        written["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        written["thoughtsTokenCount"] = usage.reasoning_tokens
    return written
