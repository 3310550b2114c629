"""What is no answer to the question is told as such, whatever it is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import nginx, systems
from benchmarks.asking import Asked
from benchmarks.routes import ROUTES
from benchmarks.systems import System, WrongAnswerError

WHOLE = nginx.completion()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(WHOLE)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[System]:
    """One that answers so, and hangs up once its client does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_one() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=answer_one)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        yield System("peer", {}, lambda route: Asked(url, b"{}"))
        thread.join()


@pytest.mark.parametrize("answer", [HEAD + WHOLE, CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(WHOLE), WHOLE)])
def test_the_provider_s_text_is_the_answer(answer: bytes) -> None:
    with answering(answer) as system:
        assert systems.verified_bytes(system, ROUTES["whole"]) == len(WHOLE)


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ready\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        HEAD + WHOLE[:-1],
        CHUNKED + b"5\r\nhello",
        HEAD + WHOLE.replace(b"x", b"y"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
    ],
    ids=["no HTTP", "500", "cut", "cut in a chunk", "another text", "no completion"],
)
def test_anything_else_is_a_wrong_answer(answer: bytes) -> None:
    with answering(answer) as system, pytest.raises(WrongAnswerError, match="peer, whole"):
        systems.verified_bytes(system, ROUTES["whole"])


def test_an_answer_without_an_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "ANSWER_S", 0.0)
    with answering(CHUNKED + b"1\r\nx\r\n" * 10) as system, pytest.raises(WrongAnswerError, match="no end"):
        systems.verified_bytes(system, ROUTES["whole"])
