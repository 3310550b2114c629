"""JSON that is made up from the words of a dialect, and what it sends with a byte or two spoilt."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from hypothesis import strategies as st

from tests.support.golden import ROOT

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=8)
words = st.text("abcxyz-_0", min_size=1, max_size=6)
said = st.text('ab é{"\\\n', min_size=1, max_size=8)
seen = said.filter(lambda text: bool(text.strip()))
"""With something that a reader sees."""
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
raws = st.dictionaries(words, st.integers() | words, max_size=2).map(
    lambda value: msgspec.Raw(msgspec.json.encode(value))
)


def any_of(vocabulary: str) -> st.SearchStrategy[str]:
    return st.sampled_from(re.findall(r"[\w.~]+", vocabulary))


def values_of(names: st.SearchStrategy[str], kinds: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """JSON of objects with these names, and these words among its strings."""
    return st.recursive(
        st.none() | st.booleans() | numbers | texts | kinds,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


def sent(dialect: str) -> st.SearchStrategy[bytes]:
    """What stands in the golden files."""
    return st.sampled_from([path.read_bytes() for path in sorted(ROOT.glob(f"{dialect}/*/*.*")) if path.is_file()])


def spoilt(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """With a byte or two of it changed, taken away or put in."""
    bad = st.sampled_from([b"\xff", b"\xed\xa0\x80", b'"', b"\\", b"\\ud800", b"{", b"[", b"\x00", b"null", b"9", b""])
    return st.builds(
        lambda body, at, what, drop: body[: at % (len(body) + 1)] + what + body[at % (len(body) + 1) + drop :],
        bodies,
        st.integers(0, 5000),
        st.binary(max_size=2) | bad,
        st.integers(0, 4),
    )


def encoded(objects: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return objects.map(lambda fields: json.dumps(fields, ensure_ascii=False).encode())


def bodies_of(objects: st.SearchStrategy[Any], dialect: str) -> st.SearchStrategy[bytes]:
    whole = encoded(objects)
    return st.binary(max_size=40) | whole | spoilt(whole) | spoilt(sent(dialect))


def streams_of(objects: st.SearchStrategy[Any], dialect: str) -> st.SearchStrategy[bytes]:
    events = encoded(objects).map(lambda data: b"data: " + data + b"\n\n")
    return spoilt(sent(dialect)) | st.lists(events | spoilt(events), max_size=4).map(b"".join)


schemas = st.recursive(
    st.sampled_from(["string", "integer", "null"]).map(lambda kind: {"type": kind}),
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | st.dictionaries(words, inner, max_size=2).map(
            lambda fields: {
                "type": "object",
                "properties": fields,
                "required": list(fields),
                "additionalProperties": False,
            }
        )
    ),
    max_leaves=4,
).map(lambda schema: msgspec.Raw(msgspec.json.encode(schema)))
"""Such as all take, however strictly they are to be followed."""
