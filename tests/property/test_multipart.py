"""Whatever is in a form and however it is bounded, the model is found and replaced, and nothing else is touched."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.dialects.openai_plain import multipart
from edge_service.domain.errors import InvalidRequestError
from tests.support.forms import Part, form

_BCHARS = "0123456789abzAZ'()+_,-./:=? "
boundaries = st.text(_BCHARS, min_size=1, max_size=70).filter(lambda it: not it.endswith(" ")).map(str.encode)
models = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda it: it.strip() != "")
filenames = (
    st.none() | st.text("ab;=/. ", max_size=5) | st.just('"; name=\\"model').map(lambda it: it.replace('"', '\\"'))
)
heads = st.sampled_from([b"", b"Content-Type: audio/wav\r\n", b"X-Name: name=model\r\n", b"X:\r\nY: z\r\n"])
# Content that could be taken for the end of a part, with `BOUNDARY` where the boundary is to stand.
contents = st.lists(
    st.binary(max_size=6) | st.sampled_from([b"\r\n", b"--", b"BOUNDARY", b"\r\n--", b"\r", b"\n--BOUNDARY--", b"-"]),
    max_size=8,
).map(b"".join)
others = st.builds(Part, st.sampled_from(["file", "prompt", "n", "model[]", ""]), contents, filenames, heads)


@st.composite
def forms(draw: st.DrawFn) -> tuple[list[Part], int, bytes]:
    """The parts, which of them has the model, and the boundary."""
    boundary = draw(boundaries)
    name = draw(models).encode()
    parts = [
        Part(it.name, _unlike(it.content, boundary), it.filename, it.head) for it in draw(st.lists(others, max_size=5))
    ]
    place = draw(st.integers(0, len(parts)))
    model = Part("model", _unlike(name, boundary), head=draw(heads))
    return [*parts[:place], model, *parts[place:]], place, boundary


def _unlike(content: bytes, boundary: bytes) -> bytes:
    """With the boundary in it, but not as the end of a part."""
    content = content.replace(b"BOUNDARY", boundary)
    while b"\r\n--" + boundary in b"\r\n" + content:
        content = content.replace(b"--" + boundary, b"-" + boundary)
    return content


@given(forms(), models, st.sampled_from([b"", b"preamble\r\n", b"--\r\n"]), st.sampled_from([b"", b"\r\n", b"x\r\n--"]))
@settings(max_examples=400)
def test_the_model_is_found_and_replaced(
    it: tuple[list[Part], int, bytes], model: str, preamble: bytes, epilogue: bytes
) -> None:
    parts, place, boundary = it
    body = form(parts, boundary, preamble, epilogue)
    content_type = b'multipart/form-data; boundary="' + boundary + b'"'
    read = multipart.read(body, content_type)
    assert read.model.encode() == parts[place].content
    replaced = [*parts[:place], Part("model", model.encode(), head=parts[place].head), *parts[place + 1 :]]
    assert read.body(model) == form(replaced, boundary, preamble, epilogue)


@given(
    st.lists(st.binary(max_size=8) | st.sampled_from([b"--b", b"\r\n--b\r\n", b"--b--", b"\r\n", b'; name="model"']))
    | st.lists(st.sampled_from([b"\r\n--b\r\n", b"\r\n", b"content-disposition: form-data; name=model\r\n\r\n", b"x"])),
    st.binary(max_size=12) | st.sampled_from([b"; boundary=b", b'; boundary="b"', b";boundary=b;boundary=c"]),
)
@settings(max_examples=500)
def test_any_bytes_are_read_or_refused(pieces: list[bytes], parameters: bytes) -> None:
    content_type = b"multipart/form-data" + parameters
    body = b"".join(pieces)
    try:
        read = multipart.read(body, content_type)
    except InvalidRequestError:
        return
    assert read.body(read.model) == body
    assert multipart.read(read.body("another"), content_type).model == "another"
