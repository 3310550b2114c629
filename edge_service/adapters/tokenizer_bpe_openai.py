"""OpenAI's `o200k_base`, of the library bpe-openai, which has its vocabularies within it.

Only the library's compiled part is loaded: its Python part reads the vocabularies once more, which takes 0.6 s and
60 MiB, and counts nothing faster. Loading waits for the first text: it takes 50 ms and 35 MiB.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.machinery import PathFinder
from typing import Protocol

ENCODING = "o200k_base"


class _Encoding(Protocol):
    def count(self, text: str) -> int: ...


@cache
def _encoding() -> _Encoding:
    package = importlib.util.find_spec("bpe_openai")
    folders = None if package is None else package.submodule_search_locations
    spec = PathFinder.find_spec("_bindings", folders) if folders else None
    if spec is None or spec.loader is None:
        raise ImportError("bpe-openai is not installed")
    bindings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bindings)
    encoding: _Encoding = bindings.tokenizer_for_encoding(ENCODING)
    return encoding


class BpeTokenizer:
    """A `Tokenizer`."""

    def count(self, text: str) -> int:
        """As the port says."""
        try:
            return _encoding().count(text)
        except UnicodeEncodeError:  # Half a pair of surrogates.
            return _encoding().count(text.encode(errors="replace").decode())
