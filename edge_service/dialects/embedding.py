"""Embeddings, independent of any dialect: what is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_service.dialects.canonical import Usage


@dataclass(frozen=True, slots=True)
class Embedding:
    """What is asked for."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    task_type: str = ""
    """What the vectors are for, such as RETRIEVAL_DOCUMENT; only Google has it."""
    title: str = ""
    """Of the document."""
    packed: bool = False
    """The client wants each vector as base64 of its numbers."""
    unsaid: tuple[str, ...] = ()
    """Fields that only the client's dialect has, and that do not change the vectors."""
    bound: tuple[str, ...] = ()
    """Fields that only the client's dialect has, and that change the vectors."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """One for each input, in their order."""

    values: Sequence[Sequence[float]]
    tokens: int | None = None
    """Of the inputs; None if the provider does not say."""

    @property
    def usage(self) -> Usage | None:
        return None if self.tokens is None else Usage(input_tokens=self.tokens)
