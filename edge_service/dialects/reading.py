"""Collects the fields of a client's request that have no place in the canonical model."""

from __future__ import annotations

import re

_MAX_NAMES = 16
"""Enough to say why a request cannot go elsewhere, or what it loses there."""

_NAME = re.compile(r"[\w.\[\]-]{1,80}", re.ASCII)
_ODD_NAME = "(other)"
"""Stands for fields whose names a header cannot hold."""


class Reading:
    """Fields that only the client's dialect has, by their paths."""

    __slots__ = ("_bound", "_unsaid")

    def __init__(self) -> None:
        self._unsaid: dict[str, None] = {}
        self._bound: dict[str, None] = {}

    def leave(self, path: str, if_said: object = True) -> None:
        """Notes a field that is left out. The path has no indices, so that each field is named once."""
        if if_said and len(self._unsaid) < _MAX_NAMES:
            self._unsaid[path if _NAME.fullmatch(path) else _ODD_NAME] = None

    def bind(self, path: str, if_said: object = True) -> None:
        """Notes a field that changes the meaning, and that no other dialect can express: it binds the request to its
        own."""
        if if_said and len(self._bound) < _MAX_NAMES:
            self._bound[path] = None

    def look_up(self, path: str, name: str, *, is_alone: bool) -> None:
        """Notes a tool by which the provider looks something up: a model can do without it if it is offered others.
        `name` is what it is called where it is left out."""
        if is_alone:
            self.bind(path)
        else:
            self.leave(name)

    @property
    def unsaid(self) -> tuple[str, ...]:
        return tuple(self._unsaid)

    @property
    def bound(self) -> tuple[str, ...]:
        return tuple(self._bound)
