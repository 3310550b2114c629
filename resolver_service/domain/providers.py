"""The providers: addresses, references to keys, and what sets each apart from others of its dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from resolver_service.domain.abilities import Abilities
from resolver_service.domain.policy import Disposition
from resolver_service.domain.quirks import NO_QUIRKS, Quirks


class Dialect(StrEnum):
    """The protocol that a provider speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True)
class Credential:
    """A reference to a secret, never the secret; `ref` is empty for a provider that asks for none."""

    ref: str
    index: int
    """Its place in the provider's list; what stands behind `#` in a target's id."""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """The disposition of error answers that match all of these."""

    disposition: Disposition
    status: int = 0
    """0 for any."""
    body_contains: str = ""
    """Empty for any."""


@dataclass(frozen=True, slots=True)
class Provider:
    id: str
    dialect: Dialect
    base_url: str
    """Without a trailing slash."""
    credentials: tuple[Credential, ...]
    """Never empty: a provider that asks for no key has one with an empty reference."""
    models: tuple[str, ...]
    allow_private: bool = False
    disabled: bool = False
    rules: tuple[AnswerRule, ...] = ()
    """The first that fits counts."""
    max_concurrent: int | None = None
    """Requests at a time for each of its targets; None for as many as come."""
    quirks: Quirks = NO_QUIRKS
    responses: bool = False
    """It has the Responses API."""
    abilities: Mapping[str, Abilities] = field(default_factory=dict, hash=False)
    """The abilities that are known, by the model's `name_key`."""
