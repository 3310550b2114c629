"""Providers that have OpenAI's Responses API, keep what they answered, and know nothing of what others have."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import parse_qs

from tests.support.faulty_upstream import Connection

UPSTREAM_MODEL = "upstream-model"


def _event(kind: str, number: int, **fields: object) -> bytes:
    said = {"type": kind, "sequence_number": number, **fields}
    return f"event: {kind}\ndata: {json.dumps(said)}\n\n".encode()


class Storing:
    """A `Script`. What it makes in the background is ready when it has been asked for twice."""

    def __init__(self, name: str, text: str = "well met") -> None:
        self.name = name
        self.kept: dict[str, dict[str, Any]] = {}
        self.inputs: dict[str, Any] = {}
        self._text = text
        self._numbers = itertools.count(1)
        self._asked_for: dict[str, int] = {}

    async def __call__(self, connection: Connection) -> None:
        call = connection.call
        path, _, query = call.path.partition("?")
        _, _, behind = path.partition("/responses")
        if call.method == "POST" and not behind:
            await self._make(connection)
            return
        response_id, _, what = behind.removeprefix("/").partition("/")
        response = self.kept.get(response_id)
        if response is None:
            await self._refuse(connection, 404, f"Response with id '{response_id}' not found.", None, None)
        elif call.method == "DELETE":
            del self.kept[response_id]
            await self._say(connection, {"id": response_id, "object": "response", "deleted": True})
        elif what == "cancel":
            response["status"] = "cancelled"
            await self._say(connection, response)
        elif what == "input_items":
            items = [{"id": "msg_in", "type": "message", "role": "user", "content": self.inputs[response_id]}]
            await self._say(
                connection,
                {"object": "list", "data": items, "first_id": "msg_in", "last_id": "msg_in", "has_more": False},
            )
        elif parse_qs(query).get("stream") == ["true"]:
            await self._stream(connection, response, after=int(parse_qs(query).get("starting_after", ["-1"])[0]))
        else:
            self._grow(response)
            await self._say(connection, response)

    def _grow(self, response: dict[str, Any]) -> None:
        asked = self._asked_for[response["id"]] = self._asked_for.get(response["id"], 0) + 1
        if response["status"] in ("queued", "in_progress"):
            response.update(self._done() if asked > 1 else {"status": "in_progress"})

    def _done(self) -> dict[str, Any]:
        content = [{"type": "output_text", "text": self._text, "annotations": []}]
        message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
        return {"status": "completed", "output": [message]}

    async def _make(self, connection: Connection) -> None:
        asked: dict[str, Any] = connection.call.json
        previous = asked.get("previous_response_id")
        if previous is not None and previous not in self.kept:
            message = f"Previous response with id '{previous}' not found."
            await self._refuse(connection, 400, message, "previous_response_id", "previous_response_not_found")
            return
        response: dict[str, Any] = {
            "id": f"resp_{self.name}_{next(self._numbers)}",
            "object": "response",
            "created_at": 1,
            "model": UPSTREAM_MODEL,
            "status": "queued",
            "output": [],
            "error": None,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "previous_response_id": previous,
            "background": bool(asked.get("background")),
        }
        if not asked.get("background"):
            response.update(self._done())
        if asked.get("store") is not False:
            self.kept[response["id"]] = response
            self.inputs[response["id"]] = [{"type": "input_text", "text": "what was asked"}]
        if asked.get("stream"):
            await self._stream(connection, response)
        else:
            await self._say(connection, response)

    async def _stream(self, connection: Connection, response: dict[str, Any], after: int = -1) -> None:
        begun = {**response, "status": "in_progress", "output": []}
        events = [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events += [("response.output_text.delta", {**place, "delta": word + " "}) for word in self._text.split()]
        events.append(("response.completed", {"response": {**response, **self._done()}}))
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        for number, (kind, fields) in enumerate(events):
            if number > after:
                await connection.chunk(_event(kind, number, **fields))
        await connection.chunk(b"")

    async def _say(self, connection: Connection, said: dict[str, Any]) -> None:
        await connection.answer(200, json.dumps(said).encode())

    async def _refuse(
        self, connection: Connection, status: int, message: str, param: str | None, code: str | None
    ) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        await connection.answer(status, json.dumps({"error": error}).encode())
