"""The providers of a configuration, and who of them lists a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from resolver_service.domain.abilities import Abilities
from resolver_service.domain.config_models import read_models
from resolver_service.domain.config_policy import Block, read_policy
from resolver_service.domain.config_quirks import read_quirks
from resolver_service.domain.config_reader import Path, Problems, Section, kind_of, path_text, quoted
from resolver_service.domain.config_rules import read_rules
from resolver_service.domain.names import name_key, split_reasoning
from resolver_service.domain.presets import PRESETS, Preset
from resolver_service.domain.providers import Credential, Dialect, Provider
from resolver_service.domain.quirks import NO_QUIRKS, Quirks

MOST_CONCURRENT = 100_000

_KEYS = (
    *("id", "dialect", "base-url", "credentials", "models", "allow-private", "disabled", "policy"),
    *("max-concurrent", "rules", "preset", "responses", "quirks"),
)
_CREDENTIAL_KEYS = ("ref", "disabled")
_ADVICE = dict.fromkeys(
    ("api-key", "api_key", "apikey", "key", "secret", "token"), "list a reference to it under 'credentials'"
)
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00-\x1f\x7f\ud800-\udfff]+")
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+")
_AZURE = "https://RESOURCE.openai.azure.com/openai/v1"
_NOT_IN_URLS = re.compile(r"[^\x21-\x7e]|\\")


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A provider and what its policy block says."""

    provider: Provider
    policy: Block


@dataclass(frozen=True, slots=True)
class Offer:
    """A model at a provider."""

    entry: ProviderEntry
    model: str
    """In the provider's own spelling."""
    reasoning: str = ""


class Directory:
    """All providers of a configuration, in its order."""

    def __init__(self, entries: Iterable[ProviderEntry]) -> None:
        self.entries = tuple(entries)
        self.listed: dict[str, list[Offer]] = {}
        """The providers that list a model, by its `name_key`."""
        self._by_id: dict[str, ProviderEntry] = {}
        self._own: dict[tuple[str, str], Offer] = {}
        for entry in self.entries:
            key = name_key(entry.provider.id)
            self._by_id.setdefault(key, entry)
            for model in entry.provider.models:
                offer = Offer(entry, model)
                self.listed.setdefault(name_key(model), []).append(offer)
                self._own[key, name_key(model)] = offer

    def provider(self, name: str) -> ProviderEntry | None:
        return self._by_id.get(name_key(name))

    def provider_names(self) -> Iterator[str]:
        return (entry.provider.id for entry in self.entries)

    def model_names(self) -> Iterator[str]:
        return (offers[0].model for offers in self.listed.values())

    def offers(self, written: str) -> tuple[str, tuple[Offer, ...]]:
        """A model's name without reasoning suffix, and who lists it, which may be nobody.

        The name as it is written comes first: it may end in parentheses of its own.
        """
        name, reasoning = split_reasoning(written)
        found = self.listed.get(name_key(written))
        if found is not None:
            return written, tuple(found)
        return name, tuple(Offer(o.entry, o.model, reasoning) for o in self.listed.get(name_key(name), ()))

    def offer_of(self, entry: ProviderEntry, written: str) -> tuple[str, Offer]:
        """A model's name without reasoning suffix, and the model at this provider, whether it lists it or not."""
        name, reasoning = split_reasoning(written)
        key = name_key(entry.provider.id)
        found = self._own.get((key, name_key(written)))
        if found is not None:
            return written, found
        found = self._own.get((key, name_key(name)))
        return name, Offer(entry, found.model if found else name, reasoning)


def read_providers(root: Section) -> Directory:
    """Notes the problems of the providers by themselves."""
    entries = []
    first: dict[str, Path] = {}
    for section in root.sections("providers", _KEYS, advice=_ADVICE):
        name = section.name("id", required=True) or ""
        if "/" in name or "#" in name:
            section.problem("id", "must not contain '/' or '#': they separate the parts of a target's name")
        check_unique(section.problems, first, "provider id", name, section.at("id"))
        entries.append(ProviderEntry(_provider(section, name), read_policy(section)))
    return Directory(entries)


def _provider(section: Section, name: str) -> Provider:
    preset = _preset(section)
    given = section.choice("dialect", "dialect", Dialect, required=section.get("preset") is None)
    # A stand-in for what is wrong or missing never gets out: there is a problem then.
    dialect = given or (preset.dialect if preset else Dialect.OPENAI)
    # The rest of what a preset knows is about its protocol.
    fits = preset if preset and preset.dialect is dialect else None
    quirks = read_quirks(section, fits.quirks if fits else NO_QUIRKS, dialect)
    models, abilities = _models(section)
    return Provider(
        id=name,
        dialect=dialect,
        base_url=_base_url(section, preset, quirks, dialect),
        credentials=_credentials(section),
        models=models,
        allow_private=section.flag("allow-private"),
        disabled=section.flag("disabled"),
        rules=read_rules(section),
        max_concurrent=section.integer("max-concurrent", 1, MOST_CONCURRENT),
        quirks=quirks,
        responses=_responses(section, fits, dialect),
        abilities=abilities,
    )


def _preset(section: Section) -> Preset | None:
    name = section.name("preset")
    preset = PRESETS.get(name_key(name)) if name else None
    if name and preset is None:
        known = f"; known are {', '.join(PRESETS)}"
        section.problems.add_unknown(section.at("preset"), "preset", name, PRESETS, known)
    return preset


def _responses(section: Section, preset: Preset | None, dialect: Dialect) -> bool:
    responses = section.flag("responses", default=preset is not None and preset.responses)
    if responses and dialect is not Dialect.OPENAI:
        section.problem("responses", f"has no meaning for a provider of the dialect '{dialect}'")
    return responses


def check_unique(problems: Problems, first: dict[str, Path], what: str, name: str, path: Path) -> bool:
    """Whether a name has not come up before; otherwise there is a problem. `first` remembers, by `name_key`."""
    if not name:
        return False
    earlier = first.setdefault(name_key(name), path)
    if earlier is not path:
        problems.add(path, f"duplicate {what} {quoted(name)}; the first is at {path_text(earlier)}")
    return earlier is path


def _base_url(section: Section, preset: Preset | None, quirks: Quirks, dialect: Dialect) -> str:
    """The messages never show the URL: it may have a secret in it."""
    value = section.get("base-url")
    if value is None and section.get("preset") is not None:
        return _base_url_of(section, preset)
    if not isinstance(value, str):
        section.problem("base-url", "is required" if value is None else f"expected a URL, got {kind_of(value)}")
        return ""
    url = value.strip()
    problems = list(_wrong_with_url(url))
    if not problems:
        problems += (*_wrong_with_azure(url, preset, quirks), *_wrong_with_end(url, dialect))
    for wrong in problems:
        section.problem("base-url", wrong)
    return url.rstrip("/")


def _base_url_of(section: Section, preset: Preset | None) -> str:
    """An unknown preset is a problem of its own."""
    if preset is not None and not preset.base_url:
        section.problem("base-url", f"is required: everyone's is another, such as {_AZURE}")
    if preset is not None and preset.is_local and section.get("allow-private") is not True:
        words = f"must be true: this preset is at {preset.base_url}, on this machine, unless 'base-url' says otherwise"
        section.problem("allow-private", words)
    return preset.base_url if preset else ""


_OF_REQUESTS = {
    Dialect.OPENAI: ("/chat/completions",),
    Dialect.ANTHROPIC: ("/v1", "/v1beta", "/v1/messages"),
    Dialect.GEMINI: ("/v1", "/v1beta"),
}
"""What stands behind the base URL in requests of a dialect. OpenAI's SDK wants /v1 in it, the others put it there."""


def _wrong_with_end(url: str, dialect: Dialect) -> Iterator[str]:
    path = urlsplit(url).path.rstrip("/")
    for end in _OF_REQUESTS[dialect]:
        if path.endswith(end):
            yield f"must not end in {end}, which requests of the dialect '{dialect}' have in their own paths"
            return


def _wrong_with_azure(url: str, preset: Preset | None, quirks: Quirks) -> Iterator[str]:
    """The newer API has its paths behind /openai/v1, the older one has all of its own."""
    path = urlsplit(url).path.rstrip("/")
    if quirks.deployment_paths and path.endswith("/v1"):
        yield "must not end in /v1 with an 'api-version' that is a date: such versions are those of the older API"
    if preset is PRESETS["azure-openai"] and not quirks.deployment_paths and not path:
        yield f"expected one such as {_AZURE}; the API without /openai/v1 needs 'quirks: {{api-version: ...}}', a date"


def _wrong_with_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        has_host = _HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or parts.scheme not in ("http", "https") or _NOT_IN_URLS.search(url):
        yield "expected an absolute http or https URL, such as https://api.example.com/v1"
        return
    if "@" in parts.netloc:
        yield "must not have a user name or password: list a reference under credentials"
    if "?" in url:
        yield "must not have a query"
    if "#" in url:
        yield "must not have a fragment"


def _models(section: Section) -> tuple[tuple[str, ...], Mapping[str, Abilities]]:
    first: dict[str, Path] = {}
    return read_models(section, lambda name, path: check_unique(section.problems, first, "model", name, path))


def _credentials(section: Section) -> tuple[Credential, ...]:
    """The messages never show what stands here: it may be the secret itself."""
    problems = section.problems
    credentials = []
    first: dict[str, Path] = {}
    for index, (path, value) in enumerate(section.items("credentials") or ()):
        disabled = False
        if isinstance(value, dict):
            if not value.keys() <= set(_CREDENTIAL_KEYS):
                problems.add(path, "only 'ref' and 'disabled' can stand here; env:NAME has no space after the colon")
                continue
            fields = Section(problems, path, value, _CREDENTIAL_KEYS)
            disabled = fields.flag("disabled")
            path, value = fields.at("ref"), value.get("ref")
        if not isinstance(value, str):
            problems.add(path, f"expected a reference, env:NAME or file:/absolute/path, got {kind_of(value)}")
        elif not _REFERENCE.fullmatch(value.strip()):
            problems.add(path, "expected a reference, env:NAME or file:/absolute/path, never the secret itself")
        elif first.setdefault(value.strip(), path) is not path:
            problems.add(path, f"the same reference as {path_text(first[value.strip()])}")
        else:
            credentials.append(Credential(value.strip(), index, disabled))
    return tuple(credentials) or (Credential("", 0),)
