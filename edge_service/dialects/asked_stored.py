"""Requests for stored responses, of OpenAI's Responses API. They go to the provider that made the response.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from edge_service.dialects import openai_responses
from edge_service.dialects.asked import Passed
from edge_service.dialects.asked_responses import NumberedVoice
from edge_service.dialects.exchange import Call, Voice, Whole, Written
from edge_service.dialects.openai_responses import wire
from edge_service.domain.errors import ResponseNotFoundError
from edge_service.domain.needs import NO_NEEDS, Operation
from edge_service.domain.plan import Attempt

_ID = re.compile(r"[\w-][\w.:=~+-]{0,255}", re.ASCII)
"""Ids that can stand in a path as they are."""


class Stored:
    """An `Asked`."""

    __slots__ = ("_numbered", "_written", "goes_on_from", "model", "stream", "voice")

    operation = Operation.RETRIEVE
    needs = NO_NEEDS

    def __init__(self, method: str, response_id: str, behind: str = "", query: str = "") -> None:
        """`behind` is what follows the id in the path. Raises `ResponseNotFoundError`."""
        if not _ID.fullmatch(response_id):
            raise ResponseNotFoundError("nobody makes responses with such an id")
        self.model = ""
        self.stream = method == "GET" and parse_qs(query).get("stream") == ["true"]
        self._numbered = NumberedVoice()
        self.voice: Voice = self._numbered
        self.goes_on_from = response_id
        path = f"{wire.PATH}/{response_id}{behind}{'?' if query else ''}{query}"
        self._written = Written(path, b"", content_type=b"", method=method)

    def acts(self) -> bool:
        """As the protocol says: it does, but there is nowhere to move."""
        return True

    def of(self, attempt: Attempt) -> Call:
        """As the protocol says."""
        return Passed(self._written, self._retold, self._reader)

    def _retold(self, body: bytes) -> Whole:
        """Its usage was reported when it was made."""
        return Whole(openai_responses.passthrough.retold(body, self.model))

    def _reader(self) -> openai_responses.RetoldReader:
        it = self._numbered.stream = openai_responses.RetoldReader(self.model)
        return it
