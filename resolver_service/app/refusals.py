"""Why a request gets no plan."""

from __future__ import annotations


class ResolveError(Exception):
    """A request that gets no plan."""

    code: str
