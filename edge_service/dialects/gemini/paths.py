"""What stands behind `/v1beta/models/`: the model and, behind the last colon, the method.

Source: https://ai.google.dev/api/all-methods
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    GENERATE = "generateContent"
    STREAM = "streamGenerateContent"
    COUNT = "countTokens"
    EMBED = "embedContent"
    EMBED_MANY = "batchEmbedContents"


_METHODS = {method.value: method for method in Method}


@dataclass(frozen=True, slots=True)
class Called:
    model: str
    method: Method


def read(behind: str) -> Called | None:
    """None if no method that is known is called. The path's escapes are resolved already."""
    model, colon, word = behind.rpartition(":")
    method = _METHODS.get(word) if colon else None
    return None if method is None else Called(model, method)
