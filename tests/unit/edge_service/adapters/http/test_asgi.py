from __future__ import annotations

import pytest
from starlette.types import Message, Receive

from edge_service.adapters.http.asgi import UNASKED_BYTES, AsgiClient, ClientGoneError, read_body
from edge_service.domain.errors import PayloadTooLargeError


def sends(*parts: bytes, leaves: bool = False) -> Receive:
    """A client that sends these parts, and then, if it does not leave, is done."""
    left = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if leaves:
        left.append({"type": "http.disconnect"})
    else:
        left[-1]["more_body"] = False

    async def receive() -> Message:
        return left.pop(0)

    return receive


@pytest.mark.parametrize("parts", [(b"",), (b"12345",), (b"12", b"345"), (b"1", b"", b"2345", b"")])
async def test_a_body_may_be_as_large_as_the_limit(parts: tuple[bytes, ...]) -> None:
    assert await read_body(sends(*parts), limit_bytes=5) == b"".join(parts)


@pytest.mark.parametrize("parts", [(b"123456",), (b"123", b"456"), (b"123456", b"never read")])
async def test_a_larger_one_is_refused_as_soon_as_that_is_clear(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(PayloadTooLargeError, match="larger than 5 bytes"):
        await read_body(sends(*parts), limit_bytes=5)


@pytest.mark.parametrize("parts", [(), (b"half",), (b"half", b"and more")])
async def test_what_its_client_did_not_finish_is_no_body(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(ClientGoneError):
        await read_body(sends(*parts, leaves=True))


async def test_who_sends_a_large_one_is_asked_about_once() -> None:
    asked: list[str] = []

    async def ask() -> None:
        asked.append("who is this?")

    large = b"x" * (UNASKED_BYTES + 1)
    assert await read_body(sends(large, large, large), before_more=ask) == 3 * large
    assert len(asked) == 1
    assert await read_body(sends(large[1:], b""), before_more=ask) == large[1:]
    assert len(asked) == 1


async def test_an_answer_in_parts_keeps_their_order_and_ends() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    client = AsgiClient(send)
    await client.start(200, [], b"one")
    await client.send(b"two")
    await client.end(b"three")
    assert [(each["type"], each.get("body"), each.get("more_body", False)) for each in sent] == [
        ("http.response.start", None, False),
        ("http.response.body", b"one", True),
        ("http.response.body", b"two", True),
        ("http.response.body", b"three", False),
    ]
    assert not client.write(b"past the server")
