"""Forms with files (`multipart/form-data`), read as far as routing needs. Nothing is decoded and no file is copied: a
form is looked through for the ends of its parts, and its bytes go out again with another name in one place.

Sources: RFC 7578 (forms), RFC 2046, 5.1.1 (boundaries), RFC 9110, 5.6 (the header).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edge_service.dialects import model_name
from edge_service.domain.errors import InvalidRequestError

MAX_PARTS = 1000
MAX_HEAD_BYTES = 16 * 1024
"""Of the headers of one part."""

_MULTIPART = re.compile(rb"[ \t]*multipart/form-data[ \t]*(?:;|\Z)", re.IGNORECASE)
_PARAMETER = re.compile(rb'[ \t]*;[ \t]*([!#-\'*+.^-z|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))[ \t]*')
_TYPE = re.compile(rb"[^;]*")
# RFC 2046 allows a boundary no other characters, and no more of them.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")
_VISIBLE = re.compile(rb"[\t -~\x80-\xff]*\Z")
_DISPOSITION = re.compile(rb"(?:\A|\r\n)content-disposition[ \t]*:([^\r\n]*)", re.IGNORECASE)
_FILENAMES = (b"filename", b"filename*")
_TRUE = frozenset({b"true", b"1"})


@dataclass(frozen=True, slots=True)
class Form:
    """A client's request."""

    model: str
    stream: bool
    content_type: bytes
    _content: bytes
    _start: int
    """Where in the content the model's name begins, and where it ends."""
    _end: int

    def body(self, model: str) -> bytes:
        """The request for a provider that calls the model by this name."""
        content = memoryview(self._content)
        return b"".join((content[: self._start], model.encode(), content[self._end :]))


def is_form(content_type: bytes | None) -> bool:
    return content_type is not None and _MULTIPART.match(content_type) is not None


def read(body: bytes, content_type: bytes) -> Form:
    """Raises `InvalidRequestError`, which says what is wrong and where."""
    model: tuple[int, int] | None = None
    stream = False
    for name, start, end in _fields(body, _boundary(content_type)):
        if name == b"model":
            if model is not None:
                raise InvalidRequestError("the form field 'model' stands there twice", param="model")
            model = (start, end)
        elif name == b"stream":
            stream = body[start : min(end, start + 16)].strip().lower() in _TRUE
    if model is None:
        raise InvalidRequestError("the form field 'model' is missing: name the model or pool to ask", param="model")
    return Form(_name(body, *model), stream, content_type.strip(b" \t"), body, *model)


def _name(body: bytes, start: int, end: int) -> str:
    try:
        name = body[start : min(end, start + 4 * model_name.MAX_CHARS + 1)].decode()
    except UnicodeDecodeError:
        raise InvalidRequestError("the form field 'model' is not valid UTF-8", param="model") from None
    if not name.strip():
        raise InvalidRequestError("the form field 'model' is empty: name the model or pool to ask", param="model")
    if len(name) > model_name.MAX_CHARS:
        raise InvalidRequestError(f"'model' is longer than {model_name.MAX_CHARS} characters", param="model")
    return name


def _boundary(content_type: bytes) -> bytes:
    boundary = _parameters(content_type).get(b"boundary", b"")
    if not _BOUNDARY.match(boundary) or not _VISIBLE.match(content_type):
        raise InvalidRequestError("the content-type has no valid boundary: 1 to 70 characters as RFC 2046 allows them")
    return boundary


def _fields(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The fields that are no files: the name, and where the value begins and ends."""
    # At its beginning and alone on its line, behind which there may be white space.
    delimiter = re.compile(rb"\r\n--" + re.escape(boundary) + rb"(--|[ \t]{0,64}\r\n)")
    found = re.compile(delimiter.pattern.removeprefix(rb"\r\n")).match(body) or delimiter.search(body)
    for _ in range(MAX_PARTS):
        if found is None:
            raise InvalidRequestError("the form is not complete: the boundary that ends it is missing")
        if found[1] == b"--":
            return
        head_start = found.end()
        # The line end of the boundary is that of an empty head, too.
        head_end = body.find(b"\r\n\r\n", head_start - 2, head_start + MAX_HEAD_BYTES)
        if head_end < 0:
            raise InvalidRequestError(f"a part of the form has no headers, or more than {MAX_HEAD_BYTES} bytes of them")
        start = head_end + 4
        found = delimiter.search(body, head_end + 2)
        name = _field_name(body[head_start:head_end])
        if name is not None and found is not None:
            yield name, start, max(start, found.start())
    raise InvalidRequestError(f"the form has more than {MAX_PARTS} parts")


def _field_name(head: bytes) -> bytes | None:
    """None if there is none, or if it is that of a file."""
    disposition = _DISPOSITION.search(head)
    if disposition is None:
        return None
    parameters = _parameters(disposition[1])
    if any(name in parameters for name in _FILENAMES):
        return None
    return parameters.get(b"name")


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """Of a header's value, up to what cannot be read; of a name that comes twice the first."""
    read: dict[bytes, bytes] = {}
    type_ = _TYPE.match(value)
    position = type_.end() if type_ else 0
    while found := _PARAMETER.match(value, position):
        quoted, token = found[2], found[3]
        text = re.sub(rb"\\(.)", rb"\1", quoted) if quoted is not None else token
        read.setdefault(found[1].lower(), text)
        position = found.end()
    return read
