"""Logarithms of probabilities: Gemini's shape as OpenAI's, and back.

Sources: https://ai.google.dev/api/generate-content#LogprobsResult,
https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge_service.dialects.gemini import wire


def read(result: wire.Logprobs) -> msgspec.Raw:
    """The same in OpenAI's shape, which is the canonical one."""
    tops = result.top_candidates or []
    content = [
        _token(chosen)
        | {"top_logprobs": [_token(top) for top in tops[index].candidates or ()] if index < len(tops) else []}
        for index, chosen in enumerate(result.chosen_candidates or ())
    ]
    return msgspec.Raw(msgspec.json.encode({"content": content, "refusal": None}))


def _token(token: wire.TokenProb) -> dict[str, Any]:
    text = token.token or ""
    return {"token": text, "logprob": token.log_probability or 0.0, "bytes": list(text.encode())}


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Token(_Top):
    top_logprobs: list[_Top] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


_decoder = msgspec.json.Decoder(_Logprobs | None)


def write(raw: msgspec.Raw) -> dict[str, Any] | None:
    """The same in Gemini's shape; None for an unknown form."""
    try:
        result = _decoder.decode(raw)
    except (ValueError, RecursionError):
        return None
    if result is None or not result.content:
        return None
    return {
        "chosenCandidates": [_candidate(token) for token in result.content],
        "topCandidates": [
            {"candidates": [_candidate(top) for top in token.top_logprobs or ()]} for token in result.content
        ],
    }


def _candidate(token: _Top) -> dict[str, Any]:
    return {"token": token.token, "logProbability": token.logprob}
