from __future__ import annotations

import json

import pytest
from msgspec import Raw

from edge_service.dialects.gemini import logprobs, wire
from edge_service.dialects.gemini.wire import TokenProb, TopTokens


def test_what_is_not_told_is_none() -> None:
    chosen = [TokenProb(token="é", log_probability=-0.5), TokenProb(), TokenProb(token="b")]
    tops = [TopTokens(candidates=[TokenProb(token="é", log_probability=-0.5)]), TopTokens()]
    said = json.loads(bytes(logprobs.read(wire.Logprobs(chosen_candidates=chosen, top_candidates=tops))))
    first = {"token": "é", "logprob": -0.5, "bytes": [0xC3, 0xA9]}
    assert said == {
        "content": [
            {**first, "top_logprobs": [first]},
            {"token": "", "logprob": 0.0, "bytes": [], "top_logprobs": []},
            {"token": "b", "logprob": 0.0, "bytes": [98], "top_logprobs": []},
        ],
        "refusal": None,
    }
    assert json.loads(bytes(logprobs.read(wire.Logprobs()))) == {"content": [], "refusal": None}


@pytest.mark.parametrize("said", [b"null", b"{}", b'{"content":null}', b'{"content":[]}', b'{"content":[{}]}', b"[7]"])
def test_nothing_is_written_of_nothing(said: bytes) -> None:
    assert logprobs.write(Raw(said)) is None


def test_tops_may_be_missing() -> None:
    assert logprobs.write(Raw(b'{"content":[{"token":"a","logprob":-1}]}')) == {
        "chosenCandidates": [{"token": "a", "logProbability": -1.0}],
        "topCandidates": [{"candidates": []}],
    }
