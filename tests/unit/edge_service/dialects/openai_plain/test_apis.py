from __future__ import annotations

import pytest

from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_plain import APIS, EMBEDDINGS, TEXT_COMPLETIONS

BY_PATH = {api.path: api for api in (*APIS, EMBEDDINGS, TEXT_COMPLETIONS)}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/images/generations", b' { "created" : 1 , "data":[{"b64_json":"AA=="}],"x":null}\n'),
        ("/images/edits", b'{"data":[1.00],"model":null}'),
        ("/moderations", b'{"results":[{"flagged":false}],"error":null}'),
        ("/rerank", b'{"results":[]}'),
        ("/audio/transcriptions", b'{"text":""}'),
        ("/audio/transcriptions", b"\n"),
        ("/audio/translations", b"1\n00:00 --> 00:01\nHello\n"),
        ("/audio/transcriptions", b"{curly} said nothing"),
        ("/audio/speech", b"\x00\xff\xf3\x40"),
        ("/embeddings", b'{"data":[{"embedding":"AAAA"}]}'),
    ],
)
def test_answers_are_what_they_were(path: str, body: bytes) -> None:
    assert BY_PATH[path].whole(body, "mine").body == body


@pytest.mark.parametrize(
    ("path", "body", "shown"),
    [
        ("/moderations", b'{"model":"up","results":[ {"x":1.00} ]}', b'{"model":"mine","results":[ {"x":1.00} ]}'),
        ("/embeddings", b'{"data":[{}],"model":"up","usage":null}', b'{"data":[{}],"model":"mine","usage":null}'),
        (
            "/completions",
            b'{"choices":[{"text":"\\ud83d"}],"model":"up"}',
            b'{"choices":[{"text":"\\ud83d"}],"model":"mine"}',
        ),
    ],
)
def test_the_model_is_what_the_client_calls_it(path: str, body: bytes, shown: bytes) -> None:
    assert BY_PATH[path].whole(body, "mine").body == shown


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        *((path, b"", EmptyAnswerError) for path in BY_PATH),
        *((path, b'{"error":{"message":"no"}}', ReportedError) for path in BY_PATH),
        *((path, b"<html>", MalformedAnswerError) for path, api in BY_PATH.items() if api.is_json),
        ("/embeddings", b" ", EmptyAnswerError),
        ("/embeddings", b'{"data":[]}', EmptyAnswerError),
        ("/embeddings", b'{"data":null}', EmptyAnswerError),
        ("/embeddings", b"{}", MalformedAnswerError),
        ("/embeddings", b"[]", MalformedAnswerError),
        ("/images/generations", b'{"data":{}}', MalformedAnswerError),
        ("/moderations", b'{"results":7}', MalformedAnswerError),
        ("/completions", b'{"choices":[]}', EmptyAnswerError),
        ("/rerank", b'{"results":[' + b"[" * 200_000, MalformedAnswerError),
    ],
)
def test_what_is_no_answer(path: str, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        BY_PATH[path].whole(body, "mine")
