"""In what a provider differs from others that speak its dialect. The words are explained in `config.example.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MaxTokensField(StrEnum):
    """What a request of the OpenAI dialect calls the most tokens to generate."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


class SystemRole(StrEnum):
    """The role of system prompts in the OpenAI dialect."""

    SYSTEM = "system"
    DEVELOPER = "developer"


class AuthHeader(StrEnum):
    """Where the credential stands."""

    BEARER = "bearer"
    """`authorization: Bearer ...`. The others are names of headers that hold the credential alone."""
    X_API_KEY = "x-api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    API_KEY = "api-key"


@dataclass(frozen=True, slots=True)
class Quirks:
    """The defaults are what nearly every server understands."""

    max_tokens_field: MaxTokensField = MaxTokensField.MAX_TOKENS
    system_role: SystemRole = SystemRole.SYSTEM
    drop: tuple[str, ...] = ()
    """Top-level fields of requests that it refuses."""
    auth_header: AuthHeader | None = None
    """None: as the dialect has it."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with every request; names in lower case."""
    api_version: str = ""
    """The query parameter of that name; empty for none."""

    @property
    def deployment_paths(self) -> bool:
        """Whether paths are of Azure's older form. It is the one whose versions are dates; those of the newer one are
        words: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle"""
        return self.api_version[:1].isdigit()


NO_QUIRKS = Quirks()
