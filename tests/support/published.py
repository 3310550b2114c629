"""What the checks against the types of the providers' SDKs have in common."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from pydantic import BaseModel

from edge_service.domain.sse import EventSplitter, data_of


def plain(value: Any) -> Any:
    """What pydantic has validated, as plain data. It validates iterables only while they are iterated, and leaves out
    fields that it does not know."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return [plain(each) for each in value]


def check_known(model: BaseModel, added: Set[str] = frozenset()) -> None:
    """Asserts that no field is unknown to the types, but for those that were `added`."""
    assert not set(model.model_extra or ()) - added, model.model_extra
    for name in type(model).model_fields:
        for each in value if isinstance(value := getattr(model, name), list) else [value]:
            if isinstance(each, BaseModel):
                check_known(each, added)


def events_of(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each event of a stream, and its data. Asserts that there is nothing else in it."""
    sent = EventSplitter().feed(stream)
    assert b"".join(sent) == stream
    for each in sent:
        data = data_of(each)
        assert data is not None
        yield each, data
