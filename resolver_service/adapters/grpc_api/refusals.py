"""The statuses with which changes are refused."""

from __future__ import annotations

from typing import TypeAlias

from google.protobuf import any_pb2, message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from resolver_service.adapters.grpc_api.messages import ERROR_DOMAIN
from resolver_service.app.edit import ProvidersLockedError, UnknownRevisionError
from resolver_service.app.ports import (
    AwayError,
    ConflictError,
    HistoryError,
    NotEverywhereError,
    ReadOnlyError,
    UncertainError,
)
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_changes import InUseError, NotThereError

Refusal: TypeAlias = (
    AwayError
    | ConfigError
    | ConflictError
    | HistoryError
    | InUseError
    | NotEverywhereError
    | NotThereError
    | ProvidersLockedError
    | ReadOnlyError
    | UncertainError
    | UnknownRevisionError
)

MOST_BYTES = 4_000
"""The most that a status has of problems. Details travel as base64 among the trailers, of which callers take 8 KiB
unless they say otherwise."""
LONGEST_WORDS_BYTES = 500
"""They travel twice, the second time with up to three bytes for one."""

_CODES: dict[type[Refusal], int] = {
    AwayError: code_pb2.UNAVAILABLE,
    ConflictError: code_pb2.ABORTED,
    HistoryError: code_pb2.UNAVAILABLE,
    InUseError: code_pb2.FAILED_PRECONDITION,
    NotEverywhereError: code_pb2.UNAVAILABLE,
    NotThereError: code_pb2.NOT_FOUND,
    ProvidersLockedError: code_pb2.FAILED_PRECONDITION,
    ReadOnlyError: code_pb2.FAILED_PRECONDITION,
    UncertainError: code_pb2.UNAVAILABLE,
    UnknownRevisionError: code_pb2.NOT_FOUND,
}

REFUSALS: tuple[type[Refusal], ...] = (ConfigError, *_CODES)
"""All kinds of `Refusal`."""


def status(error: Refusal) -> status_pb2.Status:
    """With machine-readable details."""
    if isinstance(error, ConfigError):
        return _invalid(error)
    metadata = {"clusters": _cut(",".join(error.clusters), MOST_BYTES)} if isinstance(error, InUseError) else {}
    info = error_details_pb2.ErrorInfo(reason=error.code.upper(), domain=ERROR_DOMAIN, metadata=metadata)
    return _packed(_CODES[type(error)], str(error), info)


def _invalid(error: ConfigError) -> status_pb2.Status:
    """All that is wrong; if that is more than fits, as much as does, and how much more there is."""
    bad, problems = error_details_pb2.BadRequest(), error.problems
    for number, problem in enumerate(problems):
        bad.field_violations.add(field=problem.path, description=problem.message)
        if bad.ByteSize() > MOST_BYTES:
            del bad.field_violations[-1]
            words = f"and {len(problems) - number} more that do not fit in here; 'forebay check' tells all of a file"
            bad.field_violations.add(description=words)
            break
    words = str(problems[0]) if len(problems) == 1 else f"the configuration would be invalid: {len(problems)} problems"
    return _packed(code_pb2.INVALID_ARGUMENT, words, bad)


def _packed(code: int, words: str, detail: message.Message) -> status_pb2.Status:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return status_pb2.Status(code=code, message=_cut(words, LONGEST_WORDS_BYTES), details=[packed])


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
