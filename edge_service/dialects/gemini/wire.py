"""What a provider answers with, as far as it is read: whole, and as a chunk of a stream.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.values import NULL


class Blob(Struct, rename="camel"):
    data: str = ""
    mime_type: str | None = None


class File(Struct, rename="camel"):
    file_uri: str = ""
    mime_type: str | None = None


class Call(Struct, rename="camel"):
    name: str
    id: str | None = None
    args: Raw = NULL


class Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Blob | None = None
    file_data: File | None = None


class Content(Struct):
    parts: list[Part] | None = None


class TokenProb(Struct, rename="camel"):
    token: str | None = None
    log_probability: float | None = None


class TopTokens(Struct):
    candidates: list[TokenProb] | None = None


class Logprobs(Struct, rename="camel"):
    chosen_candidates: list[TokenProb] | None = None
    top_candidates: list[TopTokens] | None = None


class Candidate(Struct, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None
    logprobs_result: Logprobs | None = None


class Usage(Struct, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


class Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class Response(Struct, rename="camel"):
    candidates: list[Candidate] | None = None
    usage_metadata: Usage | None = None
    prompt_feedback: Feedback | None = None
    response_id: str | None = None
    error: Raw = NULL


decoder = msgspec.json.Decoder(Response)
