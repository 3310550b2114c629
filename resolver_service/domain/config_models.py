"""The models that a provider lists, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from resolver_service.domain.abilities import UNKNOWN, Abilities, Capability
from resolver_service.domain.config_reader import Path, Section, choice_of, name_of
from resolver_service.domain.names import name_key

MOST_TOKENS = 1_000_000_000

_KEYS = ("id", "context", "max-output", "capabilities")


def read_models(
    provider: Section, is_new: Callable[[str, Path], bool]
) -> tuple[tuple[str, ...], Mapping[str, Abilities]]:
    """Their names, and by `name_key` what is known of those of which something is. `is_new` notes names that come up
    twice."""
    problems = provider.problems
    models: list[str] = []
    known: dict[str, Abilities] = {}
    for path, value in provider.items("models") or ():
        abilities = UNKNOWN
        if isinstance(value, dict):
            section = Section(problems, path, value, _KEYS)
            name, path = section.name("id", required=True), section.at("id")
            abilities = _abilities(section)
        else:
            name = name_of(problems, path, value)
        if name is not None and is_new(name, path):
            models.append(name)
            if abilities != UNKNOWN:
                known[name_key(name)] = abilities
    return tuple(models), known


def _abilities(section: Section) -> Abilities:
    context = section.integer("context", 1, MOST_TOKENS) or 0
    output = section.integer("max-output", 1, MOST_TOKENS) or 0
    if 0 < context < output:
        section.problem("max-output", f"more than its context of {context}")
    return Abilities(context, output, _capabilities(section))


def _capabilities(section: Section) -> frozenset[Capability] | None:
    if section.get("capabilities") is None:
        return None
    found: set[Capability] = set()
    for path, value in section.items("capabilities") or ():
        capability = choice_of(section.problems, path, value, "capability", tuple(Capability))
        if capability in found:
            section.problems.add(path, f"'{capability}' is listed twice")
        elif capability is not None:
            found.add(capability)
    return frozenset(found)
