"""Images and files: both are named by a URL, by the id of a file at OpenAI, or sent along in a `data:` URL.

Sources: https://platform.openai.com/docs/guides/images-vision, https://platform.openai.com/docs/guides/pdf-files
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from edge_service.dialects.canonical import Family, Media, MediaKind

_DATA = "data:"
_BASE64 = ";base64"


def read_image(url: str, file_id: str, detail: str) -> Media | None:
    """None if it says none of what an image can be."""
    if file_id:
        return Media(MediaKind.IMAGE, file_id=file_id, family=Family.OPENAI, detail=detail)
    if not _is_data(url):
        return Media(MediaKind.IMAGE, url=url, detail=detail) if url else None
    found = _split(url)
    return None if found is None else Media(MediaKind.IMAGE, media_type=found[0], data=found[1], detail=detail)


def read_file(data: str, url: str, file_id: str, name: str) -> Media | None:
    """None if it says none of what a file can be."""
    if file_id:
        return Media(MediaKind.FILE, file_id=file_id, family=Family.OPENAI, name=name)
    if not data:
        return Media(MediaKind.FILE, url=url, name=name) if url else None
    found = _split(data) if _is_data(data) else ("", data)
    return None if found is None else Media(MediaKind.FILE, media_type=found[0], data=found[1], name=name)


def _is_data(url: str) -> bool:
    return url[: len(_DATA)].lower() == _DATA


def _split(url: str) -> tuple[str, str] | None:
    """The type and the base64 of a `data:` URL."""
    head, comma, data = url[len(_DATA) :].partition(",")
    if not comma or not head.lower().endswith(_BASE64) or not data:
        return None
    return head[: -len(_BASE64)], data


def write(media: Media) -> dict[str, Any] | None:
    """The part of a message; None if the dialect has no such thing."""
    if media.file_id and media.family is not Family.OPENAI:
        return None
    if media.url and not media.url.lower().startswith(("https://", "http://")):
        return None
    if media.kind is MediaKind.IMAGE:
        return _image(media)
    return _file(media) if media.kind is MediaKind.FILE else None


def _image(media: Media) -> dict[str, Any] | None:
    part = {"type": "input_image", "detail": media.detail or "auto"}
    if media.file_id:
        return {**part, "file_id": media.file_id}
    if media.url:
        return {**part, "image_url": media.url}
    if media.media_type.partition(";")[0].strip().lower() not in _IMAGES:
        return None
    return {**part, "image_url": f"{_DATA}{media.media_type}{_BASE64},{media.data}"}


_IMAGES = frozenset({"", "image/png", "image/jpeg", "image/jpg", "image/webp", "image/gif"})


def _file(media: Media) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "input_file"}
    if media.file_id:
        part["file_id"] = media.file_id
    elif media.url:
        part["file_url"] = media.url
    else:
        # With the file itself goes a name, of which the ending counts.
        part["filename"] = media.name or _NAMES.get(media.media_type, "file")
        part["file_data"] = f"{_DATA}{media.media_type}{_BASE64},{media.data}" if media.media_type else media.data
    return part


_NAMES = MappingProxyType(
    {
        "": "file.pdf",
        "application/pdf": "file.pdf",
        "text/plain": "file.txt",
        "text/markdown": "file.md",
        "text/html": "file.html",
        "text/csv": "file.csv",
        "application/json": "file.json",
    }
)
