from __future__ import annotations

import subprocess
import sys
import time

import pytest

from edge_service.adapters.tokenizer_bpe_openai import BpeTokenizer

count = BpeTokenizer().count


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # As OpenAI's own tiktoken counts them with `o200k_base`.
        ("", 0),
        ("hello world", 2),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("日本語", 2),
        ("1234567890", 4),
    ],
)
def test_texts_are_as_long_as_openai_finds_them(text: str, tokens: int) -> None:
    assert count(text) == tokens


def test_what_is_special_to_a_model_is_text_like_any_other() -> None:
    assert count("hi <|endoftext|> a") == 9


def test_half_a_pair_of_surrogates_is_something() -> None:
    assert count("a\ud83d") == count("a?")


@pytest.mark.parametrize("text", ["A", " ", "\n", "😀", "e\u0301", "!?'", "\x00"])
def test_no_text_takes_long(text: str) -> None:
    """What others take quadratic time for. The bound is a generous one: it takes some 20 ms."""
    began = time.process_time()
    assert count(text * 1_000_000) > 0
    assert time.process_time() - began < 2


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = (
        "from edge_service.adapters.tokenizer_bpe_openai import BpeTokenizer\n"
        "it, maps = BpeTokenizer(), lambda: 'bpe_openai' in open('/proc/self/maps').read()\n"
        "print(maps(), it.count('hello'), maps())"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False 1 True\n"
