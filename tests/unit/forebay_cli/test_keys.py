from __future__ import annotations

import hashlib
import io
import re
import sys
from types import SimpleNamespace

import pytest
import yaml

from forebay_cli.__main__ import main


def test_a_new_key_is_printed_once_with_what_the_configuration_says_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "--id", 'the "team": 1'], {}) == 0
    printed = capsys.readouterr().out
    key, _, rest = printed.partition("\n")
    assert re.fullmatch(r"fb-[A-Za-z0-9_-]{43}", key)
    assert key not in rest
    assert yaml.safe_load(rest) == [{"id": 'the "team": 1', "key-sha256": hashlib.sha256(key.encode()).hexdigest()}]


def test_a_client_that_is_not_named_has_an_id_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new"], {}) == 0
    (it,) = yaml.safe_load(capsys.readouterr().out.partition("\n")[2])
    assert it["id"] == f"client-{it['key-sha256'][:8]}"


def test_no_two_keys_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new"], {}) == main(["key", "new"], {}) == 0
    one, other = re.findall("fb-.*", capsys.readouterr().out)
    assert one != other


@pytest.mark.parametrize("written", [b"fb-abc", b"fb-abc\n", b" fb-abc\r\n"])
def test_a_key_is_hashed_as_the_edge_does(
    written: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(written)))
    assert main(["key", "hash"], {}) == 0
    assert capsys.readouterr().out == hashlib.sha256(b"fb-abc").hexdigest() + "\n"


def test_the_longest_key_is_hashed_and_any_that_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = b"!" + b"x" * 8190 + b"~"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(written)))
    assert main(["key", "hash"], {}) == 0
    assert capsys.readouterr().out == hashlib.sha256(written).hexdigest() + "\n"


@pytest.mark.parametrize("written", [b"", b"fb-\x7f", b" \n", b"one\ntwo", b"fb \xc3\xa4", b"x" * 8193])
def test_what_is_no_key_is_refused_and_not_shown(
    written: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(written)))
    assert main(["key", "hash"], {}) == 1
    said = capsys.readouterr()
    assert (said.out, "no key on standard input" in said.err) == ("", True)
    assert "two" not in said.err
