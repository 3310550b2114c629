"""The clients of a configuration: whose keys are known, and what each may do with them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime, timedelta

from resolver_service.domain.clients import Client, Limits, Names
from resolver_service.domain.config_providers import check_unique
from resolver_service.domain.config_reader import Path, Section, kind_of, name_of, path_text, quoted
from resolver_service.domain.names import name_key, split_reasoning

MOST_KEYS = 10
"""Of one client. Two are enough while a key is replaced."""
MOST_NAMES = 100
"""Names and globs of one client."""
LONGEST_NAME = 200
"""Characters of one of them."""
MOST_PER_MINUTE = 1_000_000_000
MOST_CONCURRENT = 100_000

_KEYS = ("id", "key-sha256", "allow", "limits", "expires", "disabled", "description")
_LIMITS_KEYS = ("rpm", "tpm", "concurrent")
_ADVICE = dict.fromkeys(
    ("key", "api-key", "api_key", "apikey", "secret", "token"),
    "a key itself never stands here: list its SHA-256 under 'key-sha256', which 'forebay key hash' tells",
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OF_NOTHING = hashlib.sha256(b"").hexdigest()
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def read_clients(root: Section, names: Container[str]) -> Mapping[bytes, Client] | None:
    """The clients by the SHA-256 of each key, without those that are disabled; None if the configuration has no
    `clients`.

    `names` are the configured names, by `name_key`. A client may be allowed a name that does not exist yet.
    """
    if not root.has("clients"):
        return None
    clients: dict[bytes, Client] = {}
    first: dict[str, Path] = {}
    first_key: dict[str, Path] = {}
    for section in root.sections("clients", _KEYS, advice=_ADVICE):
        name = section.name("id", required=True) or ""
        check_unique(section.problems, first, "client id", name, section.at("id"))
        section.text("description")
        client = Client(name, _names(section, names), _limits(section), _expires_at(section))
        keys = _keys(section, first_key)
        if not section.flag("disabled"):
            clients.update(dict.fromkeys(keys, client))
    return clients


def _keys(section: Section, first: dict[str, Path]) -> list[bytes]:
    """One or several: while a key is replaced by another both are in use, and are one client with one set of limits.

    The messages never show what stands here: it may be the key itself.
    """
    value = section.get("key-sha256")
    listed = section.items("key-sha256") if isinstance(value, list) else [(section.at("key-sha256"), value)]
    if not listed or value is None:
        section.problem("key-sha256", "is required: 'forebay key new' makes a key and tells it")
        return []
    if len(listed) > MOST_KEYS:
        section.problem("key-sha256", f"{len(listed)} keys; {MOST_KEYS} are the most")
    keys = []
    for path, one in listed:
        digest = one.strip().lower() if isinstance(one, str) else ""
        if not _SHA256.fullmatch(digest):
            what = "" if isinstance(one, str) else f", got {kind_of(one)}"
            words = f"expected the key's SHA-256 in 64 hexadecimal digits, never the key itself{what}"
            section.problems.add(path, words + ("; put it in quotes" if isinstance(one, int | float) else ""))
        elif digest == _OF_NOTHING:
            section.problems.add(path, "this is the SHA-256 of no text at all; 'forebay key hash' reads the key")
        elif first.setdefault(digest, path) is not path:
            section.problems.add(path, f"the same key as {path_text(first[digest])}")
        else:
            keys.append(bytes.fromhex(digest))
    return keys


def _names(section: Section, names: Container[str]) -> Names | None:
    """None for all."""
    if section.get("allow") is None:
        return None
    items = section.items("allow")
    if items is not None and not items:
        words = "must have at least one entry; leave it out to allow every name, or say 'disabled: true' to allow none"
        section.problem("allow", words)
    if items and len(items) > MOST_NAMES:
        section.problem("allow", f"{len(items)} entries; {MOST_NAMES} are the most")
    keys: dict[str, Path] = {}
    for path, value in items or ():
        name = name_of(section.problems, path, value)
        if name is None:
            continue
        base, reasoning = split_reasoning(name)
        if len(name) > LONGEST_NAME:
            section.problems.add(path, f"longer than {LONGEST_NAME} characters")
        elif reasoning and name_key(name) not in names:
            words = f"a reasoning level is not allowed by itself: {quoted(base)} allows each"
            section.problems.add(path, words)
        else:
            check_unique(section.problems, keys, "entry", name, path)
    return Names(keys)


def _limits(section: Section) -> Limits | None:
    """None for none."""
    written = section.section("limits", _LIMITS_KEYS)
    limits = Limits(
        requests=written.integer("rpm", 1, MOST_PER_MINUTE),
        tokens=written.integer("tpm", 1, MOST_PER_MINUTE),
        concurrent=written.integer("concurrent", 1, MOST_CONCURRENT),
    )
    return None if limits == Limits() else limits


def _expires_at(section: Section) -> float:
    """Seconds since the epoch. A date is good to its end, in UTC."""
    text = section.text("expires")
    if not text:
        return math.inf
    try:
        if _DATE.fullmatch(text):
            return (datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        pass  # Such as the 30th of February.
    examples = "such as 2027-01-31 or 2027-01-31T18:00:00Z"
    section.problem("expires", f"expected a date, or an instant with its offset, {examples}, got {quoted(text)}")
    return math.inf
