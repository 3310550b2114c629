"""The fields of a client's JSON, each taken by its name and with its type, as Google's own parser takes them.

Names come in camelCase, or as in the protocol buffers in snake_case; null counts as absent; one object may stand where
a list of objects is due. Source: https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from edge_service.dialects.values import first_byte, is_null, request_fields
from edge_service.domain.errors import InvalidRequestError

_NAME = re.compile(r"[A-Za-z0-9_$-]{1,64}\Z")
"""Names that can stand in a header: those of fields that are left out do."""

_element = msgspec.json.Decoder(dict[str, msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_word = msgspec.json.Decoder(str)
_list = msgspec.json.Decoder(list[msgspec.Raw] | None)
_string = msgspec.json.Decoder(str | None)
_boolean = msgspec.json.Decoder(bool | None)
_number = msgspec.json.Decoder(int | float | None)


def camel(name: str) -> str:
    """`top_k` as `topK`; what is camelCase already stays."""
    if "_" not in name:
        return name
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def wrong(path: str, kind: str) -> InvalidRequestError:
    return InvalidRequestError(f"'{path}' must be {kind}", param=path)


def whole(body: bytes) -> Fields:
    """The fields of a request. Raises `InvalidRequestError`."""
    return Fields(request_fields(body))


class Fields:
    """The fields of one object. A field that is read is taken out, so that those left in the end are the ones that
    nobody knows."""

    __slots__ = ("_left", "path")

    def __init__(self, fields: dict[str, msgspec.Raw], path: str = "") -> None:
        self._left = {camel(name): value for name, value in fields.items()} if "_" in "".join(fields) else fields
        self.path = path

    def copy(self) -> Fields:
        """A copy, to take fields from without changing this one."""
        return Fields(dict(self._left), self.path)

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def left(self) -> tuple[str, ...]:
        """The paths of the fields that are left."""
        return tuple(
            self.at(name if _NAME.match(name) else "?") for name, raw in self._left.items() if not is_null(raw)
        )

    def has(self, name: str) -> bool:
        return name in self._left and not is_null(self._left[name])

    def raw(self, name: str) -> msgspec.Raw | None:
        raw = self._left.pop(name, None)
        return None if raw is None or is_null(raw) else raw

    def object_text(self, name: str) -> str:
        """An object as JSON text, which is not looked into."""
        raw = self.raw(name)
        if raw is None:
            return "{}"
        if first_byte(raw) != b"{":
            raise wrong(self.at(name), "an object")
        return bytes(raw).decode()

    def needed(self, name: str) -> str:
        """A string that is not empty."""
        value = self.text(name)
        if not value:
            raise InvalidRequestError(f"'{self.at(name)}' is missing", param=self.at(name))
        return value

    def _take(self, name: str, decoder: msgspec.json.Decoder[Any], kind: str) -> Any:
        raw = self._left.pop(name, None)
        if raw is None:
            return None
        try:
            return decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise wrong(self.at(name), kind) from error

    def text(self, name: str) -> str:
        return self._take(name, _string, "a string") or ""

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(
            _decoded(_word, raw, f"{self.at(name)}[{index}]", "a string")
            for index, raw in enumerate(self._take(name, _list, "an array of strings") or ())
        )

    def word(self, name: str) -> str:
        """A word of an enumeration."""
        return self.text(name).upper()

    def boolean(self, name: str) -> bool | None:
        value: bool | None = self._take(name, _boolean, "a boolean")
        return value

    def number(self, name: str) -> float | None:
        value: float | None = self._take(name, _number, "a number")
        return value

    def integer(self, name: str) -> int | None:
        value = self.number(name)
        if value is None or isinstance(value, int):
            return value
        if not value.is_integer():
            raise wrong(self.at(name), "an integer")
        return int(value)

    def object(self, name: str) -> Fields | None:
        fields = self._take(name, _object, "an object")
        return None if fields is None else Fields(fields, self.at(name))

    def objects(self, name: str) -> list[Fields]:
        raw = self.raw(name)
        if raw is None:
            return []
        path = self.at(name)
        if first_byte(raw) != b"[":
            return [Fields(_decoded(_element, raw, path, "an array of objects"), path)]
        return [
            Fields(_decoded(_element, element, where := f"{path}[{index}]", "an object"), where)
            for index, element in enumerate(_decoded(_list, raw, path, "an array of objects"))
        ]

    def pairs(self, name: str) -> dict[str, str]:
        """A map from strings to strings, whose keys stay as they are."""
        path = self.at(name)
        return {
            key: _decoded(_word, raw, f"{path}.{key}", "a string")
            for key, raw in (self._take(name, _object, "an object") or {}).items()
        }


def _decoded(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, path: str, kind: str) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise wrong(path, kind) from error
