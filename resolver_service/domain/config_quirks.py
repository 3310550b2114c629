"""What a provider's entry says of its quirks, over those of its preset."""

from __future__ import annotations

import re

from resolver_service.domain.config_params import is_param_name, param_names
from resolver_service.domain.config_reader import Choice, Section, choice_of, kind_of
from resolver_service.domain.providers import Dialect
from resolver_service.domain.quirks import (
    AuthHeader,
    Effort,
    EffortField,
    Feature,
    MaxTokensField,
    Quirks,
    SystemRole,
    ThoughtsField,
)

MOST_DROPPED = 50
MOST_RENAMED = 16
MOST_HEADERS = 16
LONGEST_VALUE = 1000
MOST_STOPS = 1000
LONGEST_CALL_ID = 40

_KEYS = (
    *("max-tokens-field", "system-role", "drop", "auth-header", "headers", "api-version", "rename", "takes", "lacks"),
    *("efforts", "effort-field", "thoughts", "max-stops", "call-id-chars"),
)
_OPENAI_ONLY = tuple(key for key in _KEYS if key not in ("drop", "auth-header", "headers"))

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""RFC 9110, 5.6.2."""
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?|v1|preview|latest")
_CREDENTIAL = re.compile(r"(^|[-_])(authorization|auth|api-?key|key|token|secret|password|cookie|set-cookie)($|[-_])")
_NOT_YOURS = frozenset(
    {
        # RFC 9110, 7.6.1: those of one connection alone.
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        # Those that the request itself needs.
        *("host", "content-length", "content-type", "content-encoding", "accept-encoding", "accept", "expect"),
        *("user-agent", "x-request-id", "forwarded", "via"),
    }
)
_NOT_YOUR_PREFIXES = ("x-forwarded-", "x-forebay-", "proxy-")


def read_quirks(parent: Section, preset: Quirks, dialect: Dialect) -> Quirks:
    """What is said under `quirks` wins, key by key."""
    section = parent.section("quirks", _KEYS)
    for key in _OPENAI_ONLY:
        if section.get(key) is not None and dialect is not Dialect.OPENAI:
            section.problem(key, f"has no meaning for a provider of the dialect '{dialect}'")
    takes = _words(section, "takes", "feature", Feature, preset.takes)
    lacks = _words(section, "lacks", "feature", Feature, preset.lacks)
    if section.get("takes") is None:
        takes = tuple(feature for feature in takes if feature not in lacks)
    elif section.get("lacks") is None:
        lacks = tuple(feature for feature in lacks if feature not in takes)
    for feature in takes:
        if feature in lacks:
            section.problem("lacks", f"'{feature}' stands in 'takes', too")
    return Quirks(
        max_tokens_field=section.choice("max-tokens-field", "field", MaxTokensField) or preset.max_tokens_field,
        system_role=section.choice("system-role", "role", SystemRole) or preset.system_role,
        drop=preset.drop if section.get("drop") is None else _drop(section),
        auth_header=section.choice("auth-header", "header", AuthHeader) or preset.auth_header,
        headers=preset.headers if section.get("headers") is None else _headers(section),
        api_version=_api_version(section) or preset.api_version,
        takes=takes,
        lacks=lacks,
        rename=preset.rename if section.get("rename") is None else _rename(section),
        efforts=_words(section, "efforts", "effort", Effort, preset.efforts),
        effort_field=section.choice("effort-field", "field", EffortField) or preset.effort_field,
        thoughts=_words(section, "thoughts", "field", ThoughtsField, preset.thoughts),
        max_stops=_or(section.integer("max-stops", 1, MOST_STOPS), preset.max_stops),
        call_id_chars=_or(section.integer("call-id-chars", 0, LONGEST_CALL_ID), preset.call_id_chars),
    )


def _or(said: int | None, preset: int) -> int:
    return preset if said is None else said


def _words(
    section: Section, key: str, what: str, choices: type[Choice], preset: tuple[Choice, ...]
) -> tuple[Choice, ...]:
    """Those of a list, each once."""
    if section.get(key) is None:
        return preset
    words: dict[Choice, None] = {}
    for path, value in section.items(key) or ():
        word = choice_of(section.problems, path, value, what, tuple(choices))
        if word is not None and word in words:
            section.problems.add(path, f"'{word}' is listed twice")
        elif word is not None:
            words[word] = None
    return tuple(words)


def _rename(section: Section) -> tuple[tuple[str, str], ...]:
    written = section.get("rename")
    if not isinstance(written, dict):
        section.problem("rename", f"expected a mapping of names to names, got {kind_of(written)}")
        return ()
    section.problems.count(section.at("rename"), len(written))
    renamed: dict[str, str] = {}
    for name, own in written.items():
        path = (*section.at("rename"), name)
        if not is_param_name(section.problems, path, name) or not is_param_name(section.problems, path, own):
            continue
        if own in written:
            section.problems.add(path, "expected a name that is not renamed itself")
        renamed[str(name)] = str(own)
    if len(written) > MOST_RENAMED:
        section.problem("rename", f"{MOST_RENAMED} are the most, got {len(written)}")
    return tuple(renamed.items())


def _drop(section: Section) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for path, name in param_names(section, "drop"):
        if name in names:
            section.problems.add(path, f"'{name}' is listed twice")
        names[name] = None
    if len(names) > MOST_DROPPED:
        section.problem("drop", f"{MOST_DROPPED} are the most, got {len(names)}")
    return tuple(names)


def _headers(section: Section) -> tuple[tuple[str, str], ...]:
    """The messages never show a value: it may be a secret that has come to the wrong place."""
    written = section.get("headers")
    if not isinstance(written, dict):
        section.problem("headers", f"expected a mapping of names to values, got {kind_of(written)}")
        return ()
    headers: dict[str, str] = {}
    for key, value in written.items():
        path = (*section.at("headers"), key)
        name = key.lower() if isinstance(key, str) else ""
        wrong = _wrong_with_name(name) or _wrong_with_value(value)
        if not wrong and name in headers:
            wrong = "the same header twice: upper and lower case do not matter"
        if wrong:
            section.problems.add(path, wrong)
        else:
            headers[name] = str(value)
    if len(written) > MOST_HEADERS:
        section.problem("headers", f"{MOST_HEADERS} are the most, got {len(written)}")
    return tuple(headers.items())


def _wrong_with_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        return "expected the name of a header, such as X-Title"
    if _CREDENTIAL.search(name):
        return "must not carry a credential: list a reference to it under 'credentials'"
    if name in _NOT_YOURS or name.startswith(_NOT_YOUR_PREFIXES):
        return "is the gateway's own business"
    return ""


def _wrong_with_value(value: object) -> str:
    if not isinstance(value, str):
        hint = "; put it in quotes" if isinstance(value, int | float) else ""
        return f"expected a string, got {kind_of(value)}{hint}"
    if len(value) > LONGEST_VALUE:
        return f"{LONGEST_VALUE} characters are the most, got {len(value)}"
    return "" if _VALUE.fullmatch(value) else "expected printable ASCII characters, and no spaces around them"


def _api_version(section: Section) -> str:
    value = section.get("api-version")
    if value is None:
        return ""
    if isinstance(value, str) and _API_VERSION.fullmatch(value):
        return value
    # YAML has dates, and this looks like one.
    hint = "" if isinstance(value, str) else f"; got {kind_of(value)}: put it in quotes"
    section.problem(
        "api-version", f"expected a version such as '2024-10-21', '2025-04-01-preview', v1 or preview{hint}"
    )
    return ""
