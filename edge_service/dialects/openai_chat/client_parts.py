"""Parts of the content of a client's messages.

A part whose type has no place in the canonical model is not read any further: its path goes into `Reading.bound`, since
leaving it out would change what is asked.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects.canonical import Family, Media, MediaKind, Part, Refusal, Text
from edge_service.dialects.openai_chat import wire
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError


class _Part(Struct):
    type: str
    prompt_cache_breakpoint: dict[str, Raw] | None = None
    cache_control: dict[str, Raw] | None = None


class _Text(Struct):
    text: str


class _Refusal(Struct):
    refusal: str


class _Url(Struct):
    url: str
    detail: str | None = None


class _Image(Struct):
    image_url: _Url


class _Video(Struct):
    video_url: _Url


class _Sound(Struct):
    data: str
    format: str


class _Audio(Struct):
    input_audio: _Sound


class _Contained(Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _File(Struct):
    file: _Contained


_part = msgspec.json.Decoder(_Part)
_text = msgspec.json.Decoder(_Text)
_refusal = msgspec.json.Decoder(_Refusal)
_image = msgspec.json.Decoder(_Image)
_video = msgspec.json.Decoder(_Video)
_audio = msgspec.json.Decoder(_Audio)
_file = msgspec.json.Decoder(_File)

Allowed: TypeAlias = Mapping[str, Callable[[Raw, str], Part]]


def read(content: str | Sequence[Raw], path: str, allowed: Allowed, reading: Reading) -> tuple[Part, ...]:
    """A string stands for one part. Raises `InvalidRequestError`."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Part] = []
    for i, raw in enumerate(content):
        where = f"{path}[{i}]"
        part = wire.typed(_part, raw, where)
        reader = allowed.get(part.type)
        if reader is None:
            if part.type in _ALL:
                raise InvalidRequestError(f"'{where}': a part of type '{part.type}' cannot stand here", param=where)
            reading.bind(where)
            continue
        for name in ("prompt_cache_breakpoint", "cache_control"):
            if getattr(part, name):
                reading.leave(name)
        parts.append(reader(raw, where))
    return tuple(parts)


def _read_text(raw: Raw, path: str) -> Text:
    return Text(wire.typed(_text, raw, path).text)


def _read_refusal(raw: Raw, path: str) -> Refusal:
    return Refusal(wire.typed(_refusal, raw, path).refusal)


def _read_image(raw: Raw, path: str) -> Media:
    said = wire.typed(_image, raw, path).image_url
    detail = said.detail or ""
    return _located(MediaKind.IMAGE, said.url, f"{path}.image_url.url", "" if detail == "auto" else detail)


def _read_video(raw: Raw, path: str) -> Media:
    return _located(MediaKind.VIDEO, wire.typed(_video, raw, path).video_url.url, f"{path}.video_url.url")


_FORMAT = re.compile(r"[a-z0-9]{1,16}")


def _read_audio(raw: Raw, path: str) -> Media:
    sound = wire.typed(_audio, raw, path).input_audio
    if not _FORMAT.fullmatch(sound.format):
        where = f"{path}.input_audio.format"
        raise InvalidRequestError(f"'{where}' must be the name of a format, such as 'wav' or 'mp3'", param=where)
    if sound.data.startswith("data:"):
        return _located(MediaKind.AUDIO, sound.data, f"{path}.input_audio.data")
    return Media(MediaKind.AUDIO, f"audio/{sound.format}", data=sound.data)


def _read_file(raw: Raw, path: str) -> Media:
    file = wire.typed(_file, raw, path).file
    name = file.filename or ""
    if file.file_id:
        return Media(MediaKind.FILE, file_id=file.file_id, family=Family.OPENAI, name=name)
    if not file.file_data:
        raise InvalidRequestError(f"'{path}.file' holds neither 'file_data' nor 'file_id'", param=f"{path}.file")
    if file.file_data.startswith(("data:", "https://", "http://")):
        return _located(MediaKind.FILE, file.file_data, f"{path}.file.file_data", name=name)
    return Media(MediaKind.FILE, data=file.file_data, name=name)


def _located(kind: MediaKind, url: str, path: str, detail: str = "", name: str = "") -> Media:
    """What stands behind a URL, or, if it is one of `data:`, in it. Source: RFC 2397."""
    if url[:5].lower() != "data:":
        if not url:
            raise InvalidRequestError(f"'{path}' is empty", param=path)
        return Media(kind, url=url, detail=detail, name=name)
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or not data:
        raise InvalidRequestError(f"'{path}' must be a URL, or 'data:TYPE;base64,DATA'", param=path)
    if "base64" not in [parameter.strip().lower() for parameter in parameters]:
        data = binascii.b2a_base64(unquote_to_bytes(data), newline=False).decode()
    return Media(kind, media_type.strip().lower(), data=data, detail=detail, name=name)


TEXTS: Allowed = MappingProxyType({"text": _read_text})
IMAGES: Allowed = MappingProxyType({"image_url": _read_image})
OF_ASSISTANTS: Allowed = MappingProxyType({**TEXTS, "refusal": _read_refusal})
OF_USERS: Allowed = MappingProxyType(
    {
        **TEXTS,
        **IMAGES,
        "video_url": _read_video,  # As vLLM, OpenRouter and others have it.
        "input_audio": _read_audio,
        "file": _read_file,
    }
)
_ALL = frozenset({*OF_USERS, *OF_ASSISTANTS})
