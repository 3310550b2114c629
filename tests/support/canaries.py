"""Secrets and prompts that are like no others, and where they may be found again: nowhere, but for a few places each.

What tests leave behind, their artefacts, are files: logs, metrics, state, what went over the wire between the services,
what clients were answered.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WIRE = "wire.bin"
"""What went between edge and resolver."""
ANSWERS = "answers.bin"
"""What clients got."""


@dataclass(frozen=True, slots=True)
class Canary:
    value: str
    may_be_in: frozenset[str] = frozenset()
    """Names of files."""


PROVIDER_KEY = Canary("sk-canary-provider-4e1d7a90")
OTHER_PROVIDER_KEY = Canary("sk-canary-other-b87c25f3")
CLIENT_KEY = Canary("sk-canary-client-90ab3c6e")
OTHER_CLIENT_KEY = Canary("sk-canary-another-client-5d20e8f7")
MANAGEMENT_KEY = Canary("canary-management-2f6d81b4")
TOKEN = Canary("canary-token-c35e09d7", frozenset({WIRE}))
PROMPT = Canary("canary-prompt-6b1f4ad2", frozenset({ANSWERS}))
"""A provider may quote the request, and in an answer to it that is between the provider and the client."""
COMPLETION = Canary("canary-completion-d802e7c1", frozenset({ANSWERS}))
ALL = (PROVIDER_KEY, OTHER_PROVIDER_KEY, CLIENT_KEY, OTHER_CLIENT_KEY, MANAGEMENT_KEY, TOKEN, PROMPT, COMPLETION)

ENVIRONMENT = {
    "CANARY_API_KEY": PROVIDER_KEY.value,
    "CANARY_API_KEY_2": OTHER_PROVIDER_KEY.value,
    "FOREBAY_TOKEN": TOKEN.value,
    "FOREBAY_MANAGEMENT_KEY": MANAGEMENT_KEY.value,
}
"""Of both services."""


def found(directory: Path) -> list[str]:
    """Each canary in a file below the directory that may not have it: which file, and what."""
    files = sorted(file for file in directory.rglob("*") if file.is_file())
    return [f"{file}: {what}" for file in files for what in _found_in(file)]


def _found_in(file: Path) -> Iterator[str]:
    content = file.read_bytes()
    if b"canary" not in content.lower() and not any(shape in content for c in ALL for shape in _in_base64(c)):
        return
    for canary in ALL:
        shapes = (canary.value.encode(), *_in_base64(canary))
        if file.name not in canary.may_be_in and any(shape in content for shape in shapes):
            yield canary.value


def _in_base64(canary: Canary) -> Iterator[bytes]:
    """As it looks within something larger that was encoded, wherever it begins there: gRPC does that to metadata."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + canary.value.encode())
        # The first and the last characters hold bits of the neighbours too.
        yield encoded[4 if before else 0 : -4]
