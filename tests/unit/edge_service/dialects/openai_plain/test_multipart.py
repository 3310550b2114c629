from __future__ import annotations

import pytest

from edge_service.dialects.openai_plain import multipart
from edge_service.dialects.openai_plain.multipart import MAX_HEAD_BYTES, MAX_PARTS
from edge_service.domain.errors import InvalidRequestError
from tests.support.forms import Part, form

TYPE = b"multipart/form-data; boundary=b"
AUDIO = Part("file", b"\r\n--c\r\n--bb\r\n\x00\xff--b--", "a.wav", b"Content-Type: audio/wav\r\n")
MODEL = Part("model", b"whisper")


@pytest.mark.parametrize(
    ("parts", "stream"),
    [
        ([MODEL], False),
        ([AUDIO, MODEL], False),
        ([MODEL, AUDIO, Part("stream", b"true")], True),
        ([Part("stream", b"True"), MODEL], True),
        ([Part("stream", b"1"), MODEL], True),
        ([Part("stream", b"false"), MODEL], False),
        ([Part("stream", b""), MODEL], False),
        ([Part("stream", b"true", filename="x"), MODEL], False),
        ([Part("model", b"not.me", filename="model"), MODEL], False),
        ([Part("model[]", b"not.me"), Part("", b""), MODEL], False),
        ([Part("file", b"", 'x"; name="model'.replace('"', '\\"')), MODEL], False),
        ([Part("model", b"whisper", head=b"Content-Type: text/plain\r\nX: y\r\n")], False),
    ],
)
def test_a_form_is_read_as_far_as_routing_needs(parts: list[Part], stream: bool) -> None:
    body = form(parts, b"b")
    read = multipart.read(body, TYPE)
    assert (read.model, read.stream, read.content_type) == ("whisper", stream, TYPE)
    assert read.body("whisper") == body
    assert read.body("some/größer") == body.replace(b"\r\n\r\nwhisper\r\n", "\r\n\r\nsome/größer\r\n".encode())


@pytest.mark.parametrize(
    "body",
    [
        form([AUDIO, MODEL], b"b", preamble=b"nothing\r\n", epilogue=b""),
        form([AUDIO, MODEL], b"b", epilogue=b"\r\n--b\r\nContent-Disposition: form-data; name=model\r\n\r\nx\r\n--b--"),
        b"--b \t\r\ncontent-disposition:form-data;name=model\r\n\r\nwhisper\r\n--b--",
        b'--b\r\nX: y\r\nContent-Disposition: form-data; a*=1; NAME = "mod\\el" ; b\r\n\r\nwhisper\r\n--b--',
        b"--b\r\n\r\nno headers\r\n--b\r\nX: no body\r\n\r\n--b\r\n" + MODEL.written() + b"\r\n--b--",
    ],
)
def test_forms_as_they_may_be_written(body: bytes) -> None:
    assert multipart.read(body, TYPE).model == "whisper"


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"", "the boundary that ends it is missing", None),
        (b"--c--", "the boundary that ends it is missing", None),
        (form([MODEL], b"b")[:-4], "the boundary that ends it is missing", None),
        (b"--b--", "the form field 'model' is missing", "model"),
        (form([AUDIO], b"b"), "the form field 'model' is missing", "model"),
        (form([Part("model", b"x", "x")], b"b"), "the form field 'model' is missing", "model"),
        (form([Part("Model", b"x")], b"b"), "the form field 'model' is missing", "model"),
        (form([MODEL, AUDIO, MODEL], b"b"), "stands there twice", "model"),
        (form([Part("model", b"")], b"b"), "is empty", "model"),
        (form([Part("model", b" \r\n")], b"b"), "is empty", "model"),
        (form([Part("model", b"\xff")], b"b"), "is not valid UTF-8", "model"),
        (form([Part("model", b"x" * 513)], b"b"), "is longer than 512", "model"),
        (form([Part("model", "ä".encode() * 5000)], b"b"), "'model'", "model"),
        (b"--b\r\n" + b"x" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n\r\n--b--", "of them", None),
        (b"--b\r\n--b--", "has no headers", None),
        (form([AUDIO] * MAX_PARTS + [MODEL], b"b"), "more than 1000 parts", None),
    ],
)
def test_a_form_that_cannot_be_routed_says_why(body: bytes, message: str, param: str | None) -> None:
    with pytest.raises(InvalidRequestError, match=message) as raised:
        multipart.read(body, TYPE)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=b", b"b"),
        (b"Multipart/Form-Data;charset=utf-8;BOUNDARY=b", b"b"),
        (b'multipart/form-data; boundary="a b:(?)"', b"a b:(?)"),
        (b"multipart/form-data; boundary=" + b"x" * 70, b"x" * 70),
        (b"multipart/form-data; boundary=b; boundary=c", b"b"),
        (b" multipart/form-data ; boundary=.+(a) ", b".+(a)"),
    ],
)
def test_boundaries(content_type: bytes, boundary: bytes) -> None:
    assert multipart.is_form(content_type)
    read = multipart.read(form([AUDIO, MODEL], boundary), content_type)
    assert (read.model, read.content_type) == ("whisper", content_type.strip())


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary",
        b'multipart/form-data; boundary="b ";',
        b'multipart/form-data; boundary="b',
        b"multipart/form-data; boundary=" + b"x" * 71,
        b'multipart/form-data; boundary="a\\\x00b"',
        b"multipart/form-data; boundary=b; x=\x01",
        b"multipart/form-data; boundary=\xff",
    ],
)
def test_no_boundary(content_type: bytes) -> None:
    assert multipart.is_form(content_type)
    with pytest.raises(InvalidRequestError, match="no valid boundary"):
        multipart.read(form([MODEL], b"b"), content_type)


@pytest.mark.parametrize("content_type", [None, b"", b"application/json", b"multipart/mixed", b"multipart/form-datax"])
def test_what_is_no_form(content_type: bytes | None) -> None:
    assert not multipart.is_form(content_type)
