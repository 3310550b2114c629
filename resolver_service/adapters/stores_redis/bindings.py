"""Bindings: a cache of those that were used here lately, and those that are still to be written to the server."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from resolver_service.adapters.stores_redis.link import Argument
from resolver_service.domain.bindings import KEPT_S, MOST, Binding

MOST_SHARED = 500_000
"""Bindings that the server keeps; some 170 MB. Beyond it, the oldest are dropped."""

_decoder = msgspec.json.Decoder(tuple[str, str, float])


class BindingMirror:
    """A `BindingStore`. A binding that it does not have is looked up with the request that needs it (`Wanted`)."""

    def __init__(self, note: Callable[[], None], most: int = MOST) -> None:
        self._note = note
        self._most = most
        self._bindings: OrderedDict[bytes, Binding] = OrderedDict()
        self.untold: dict[bytes, Binding | None] = {}
        """By key, those to be written; None for one to be deleted."""

    def get(self, key: bytes) -> Binding | None:
        binding = self._bindings.get(key)
        if binding is not None:
            self._bindings.move_to_end(key)
        return binding

    def put(self, key: bytes, binding: Binding) -> None:
        self._keep(key, binding)
        self._tell(key, binding)

    def forget(self, key: bytes) -> None:
        self._bindings.pop(key, None)
        self._tell(key, None)

    def told(self, told: Mapping[bytes, Binding | None]) -> None:
        """Called when these have been written. One that has changed meanwhile stays to be written."""
        for key, binding in told.items():
            if key in self.untold and self.untold[key] is binding:
                del self.untold[key]

    def tell_all(self) -> None:
        """Marks all as to be written, since the server has lost its data."""
        self.untold = {**self._bindings, **self.untold}

    def heard(self, key: bytes, said: bytes) -> None:
        """Takes over what the server has under a key. Raises `ValueError` if that is no binding."""
        if key not in self.untold:
            self._keep(key, Binding(*_decoder.decode(said)))

    def _keep(self, key: bytes, binding: Binding) -> None:
        self._bindings[key] = binding
        self._bindings.move_to_end(key)
        if len(self._bindings) > self._most:
            self._bindings.popitem(last=False)

    def _tell(self, key: bytes, binding: Binding | None) -> None:
        self.untold[key] = binding
        while len(self.untold) > self._most:  # The server is away, and has been for long.
            del self.untold[next(iter(self.untold))]
        self._note()


def said(bindings: Mapping[bytes, Binding | None]) -> list[Argument]:
    """The arguments of `bind.lua`."""
    told: list[Argument] = [int(KEPT_S * 1000), MOST_SHARED]
    for key, binding in bindings.items():
        told += (key.hex(), b"" if binding is None else _written(binding))
    return told


def _written(binding: Binding) -> bytes:
    """A binding as the server stores it."""
    return msgspec.json.encode((binding.target_id, binding.name, binding.bound_at))
