"""Providers in good health, by the dialect that they speak: each says a text, whole or word by word. Those that can
count find as many tokens as their answers say."""

from __future__ import annotations

import json

from tests.support.faulty_upstream import Connection, Script, says


def _anthropic(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _message(text: str, stop_reason: str | None) -> dict[str, object]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "upstream-model",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }


ANTHROPIC_COUNT = b'{"input_tokens": 7, "new": {"to": "us"}}'
GEMINI_COUNT = b'{"totalTokens": 9, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]}'


def anthropic_says(text: str) -> Script:
    async def script(connection: Connection) -> None:
        if connection.call.path == "/v1/messages/count_tokens":
            await connection.answer(200, ANTHROPIC_COUNT)
            return
        assert connection.call.path == "/v1/messages"
        if not connection.call.json.get("stream"):
            await connection.answer(200, json.dumps(_message(text, "end_turn")).encode())
            return
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        block = {"type": "text", "text": ""}
        await connection.chunk(
            _anthropic("message_start", message=_message("", None)),
            _anthropic("content_block_start", index=0, content_block=block),
            _anthropic("ping"),
        )
        for word in text.split():
            delta = {"type": "text_delta", "text": word + " "}
            await connection.chunk(_anthropic("content_block_delta", index=0, delta=delta))
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        await connection.chunk(
            _anthropic("content_block_stop", index=0),
            _anthropic("message_delta", delta=stop, usage={"output_tokens": 2}),
            _anthropic("message_stop"),
            b"",
        )

    return script


def _chunk(text: str, finish_reason: str | None = None) -> bytes:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    chunk = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "upstream-model", "responseId": "r1"}
    return json.dumps(chunk).encode()


def gemini_says(text: str) -> Script:
    async def script(connection: Connection) -> None:
        path = connection.call.path
        if path.endswith(":countTokens"):
            await connection.answer(200, GEMINI_COUNT)
            return
        if path.endswith(":generateContent"):
            await connection.answer(200, _chunk(text, "STOP"))
            return
        assert path.endswith(":streamGenerateContent?alt=sse")
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        *words, last = text.split()
        for word in words:
            await connection.chunk(b"data: " + _chunk(word + " ") + b"\r\n\r\n")
        await connection.chunk(b"data: " + _chunk(last + " ", "STOP") + b"\r\n\r\n", b"")

    return script


SAYS = {"openai": says, "anthropic": anthropic_says, "gemini": gemini_says}
