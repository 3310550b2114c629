"""Changes to a configuration, from one tree of plain data to another. Whether the result is valid is for
`resolver_service.domain.config.parse` to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from resolver_service.domain.catalog import Strategy
from resolver_service.domain.config_groups import directory_of, pool_id
from resolver_service.domain.config_reader import ConfigError, Problem, kind_of
from resolver_service.domain.names import name_key
from resolver_service.domain.same import same

LONGEST_ID = 200
"""Characters of an id that is given by a change. Ids stand in headers and log lines."""

_DEFAULTS: Mapping[str, object] = {
    "enabled": True,
    "default-strategy": Strategy.ROUND_ROBIN.value,
    "pools": [],
    "clusters": [],
}
"""The values of `model-pools` that are left out."""


class Kind(Enum):
    """The kinds of entries that have an id."""

    POOL = ("pool", "model-pools", "pools")
    CLUSTER = ("cluster", "model-pools", "clusters")
    PROVIDER = ("provider", "providers")

    def __init__(self, noun: str, *path: str) -> None:
        self.noun = noun
        self.path = path


@dataclass(frozen=True, slots=True)
class Replaced:
    """All of `model-pools`, or of `providers`."""

    section: str
    value: object


@dataclass(frozen=True, slots=True)
class Put:
    """One entry, in the place of the one with its id, or behind all others."""

    kind: Kind
    entry: object


@dataclass(frozen=True, slots=True)
class Deleted:
    kind: Kind
    id: str


Change: TypeAlias = Replaced | Put | Deleted


class NotThereError(Exception):
    """Nothing has this id."""

    def __init__(self, kind: Kind) -> None:
        self.code = f"{kind.noun}_not_found"
        super().__init__(f"{kind.noun} not found")


class InUseError(Exception):
    """A pool that clusters name."""

    code = "in_use"

    def __init__(self, pool: str, clusters: tuple[str, ...]) -> None:
        self.clusters = clusters
        super().__init__(f"pool '{pool}' is used by {_clusters(clusters)}")


def changed(document: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The document after the change; the one before, which is valid, stays as it is.

    Raises `NotThereError`, `InUseError`, or `ConfigError` for a change that is none.
    """
    match change:
        case Replaced(section, value):
            after = _section(document, section, value)
            if not after and not document.get(section):
                return {**document}
            return {**document, section: after}
        case Put(kind, entry):
            entries = entries_of(document, kind)
            place = _place_of(document, kind, entry)
            return _with(document, kind, [*entries[:place], entry, *entries[place + 1 :]])
        case Deleted(kind, name):
            entries = entries_of(document, kind)
            if not name.strip():
                raise ConfigError([Problem("", "id is required")])
            found = ids(document, kind)
            places = [n for n, known in enumerate(found) if name_key(known) == name_key(name)]
            if not places:
                raise NotThereError(kind)
            if kind is Kind.POOL:
                _check_unused(document, found[places[0]])
            return _with(document, kind, [entry for n, entry in enumerate(entries) if n not in places])


def model_pools(document: object) -> dict[str, Any]:
    """The object as it is configured, with its four keys; what its entries leave out stays left out."""
    section = document.get("model-pools") if isinstance(document, dict) else None
    said = {key: value for key, value in section.items() if value is not None} if isinstance(section, dict) else {}
    return {**_DEFAULTS, **said}


def providers(document: object) -> list[Any]:
    return (document.get("providers") if isinstance(document, dict) else None) or []


def concerns_providers(change: Change) -> bool:
    return (change.section if isinstance(change, Replaced) else change.kind.path[0]) == "providers"


def with_clients_of(document: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the clients of another one, or without if that has none."""
    kept = {section: value for section, value in document.items() if section != "clients"}
    return {**document, "clients": present["clients"]} if "clients" in present else kept


def changes_providers(before: object, after: object) -> bool:
    return not same(providers(before), providers(after))


def _section(document: Mapping[str, Any], section: str, value: object) -> object:
    expected, words = (dict, "a mapping") if section == "model-pools" else (list, "a list")
    if not isinstance(value, expected):
        raise ConfigError([Problem(section, f"expected {words}, got {kind_of(value)}")])
    entries = [(f"{section}[{n}]", e) for n, e in enumerate(value)] if isinstance(value, list) else []
    if isinstance(value, dict):
        for key in ("pools", "clusters"):
            inner = value.get(key)
            entries += [(f"{section}.{key}[{n}]", e) for n, e in enumerate(inner if isinstance(inner, list) else ())]
    _check_ids(entries)
    if not isinstance(value, dict):
        return value
    # Who sends back what `model_pools` gave has added nothing.
    said = document.get(section)
    said = said if isinstance(said, dict) else {}
    kept = {key: said[key] for key in _DEFAULTS if key in said and said[key] is None}
    return {
        **{key: v for key, v in value.items() if key in said or key not in _DEFAULTS or not same(v, _DEFAULTS[key])},
        **{key: None for key in kept if key not in value or same(value[key], _DEFAULTS[key])},
    }


def entries_of(document: object, kind: Kind) -> list[Any]:
    found: Any = document
    for key in kind.path:
        found = (found.get(key) if isinstance(found, dict) else None) or {}
    return found if isinstance(found, list) else []


def ids(document: object, kind: Kind) -> list[str]:
    """Of the entries; empty where one has none."""
    return _ids(document, kind, entries_of(document, kind))


def _ids(document: object, kind: Kind, entries: list[Any]) -> list[str]:
    directory = None
    found = []
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        name = fields.get("id")
        if kind is Kind.POOL and fields and name is None:
            directory = directory or directory_of(document)
            name = pool_id(fields, directory)
        found.append(name.strip() if isinstance(name, str) else "")
    return found


def _with(document: Mapping[str, Any], kind: Kind, entries: list[Any]) -> dict[str, Any]:
    section, *inner = kind.path
    if not inner:
        return {**document, section: entries}
    return {**document, section: {**(document.get(section) or {}), inner[0]: entries}}


def _place_of(document: object, kind: Kind, entry: object) -> int:
    """The index of the entry with this id, or the end. A malformed entry goes to the end, where its mistakes are
    reported."""
    path = ".".join(kind.path)
    found = ids(document, kind)
    (name,) = _ids(document, kind, [entry])
    if isinstance(entry, dict) and not name and entry.get("id") in (None, ""):
        raise ConfigError([Problem(f"{path}[{len(found)}].id", f"{kind.noun} id is required")])
    key = name_key(name)
    place = next((n for n, known in enumerate(found) if known and name_key(known) == key), len(found))
    _check_ids([(f"{path}[{place}]", entry)])
    return place


def _check_ids(entries: list[tuple[str, object]]) -> None:
    long = [
        Problem(f"{path}.id", f"must not be longer than {LONGEST_ID} characters")
        for path, entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("id"), str) and len(entry["id"]) > LONGEST_ID
    ]
    if long:
        raise ConfigError(long)


def _check_unused(document: Mapping[str, Any], pool: str) -> None:
    users = [
        str(cluster.get("id")).strip()
        for cluster in entries_of(document, Kind.CLUSTER)
        if any(_names(member, pool) for member in cluster.get("members") or ())
    ]
    if users:
        raise InUseError(pool, tuple(users))


def _names(member: object, pool: str) -> bool:
    name = member.get("pool") if isinstance(member, dict) else None
    return isinstance(name, str) and name_key(name) == name_key(pool)


def _clusters(names: tuple[str, ...]) -> str:
    words = ", ".join(f"'{name}'" for name in names)
    return f"the cluster {words}" if len(names) == 1 else f"the clusters {words}"
