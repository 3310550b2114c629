"""Gemini's words for what all dialects have: why an answer ends, how tools are chosen, how fast it is to be, of what
kind a medium is.

Sources: https://ai.google.dev/api/generate-content, https://ai.google.dev/api/caching#FunctionCallingConfig
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from edge_service.dialects.canonical import Choosing, Finish, MediaKind, Role

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "STOP": Finish.STOP,
        "MAX_TOKENS": Finish.LENGTH,
        "SAFETY": Finish.FILTERED,
        "RECITATION": Finish.FILTERED,
        "LANGUAGE": Finish.FILTERED,
        "OTHER": Finish.FILTERED,
        "BLOCKLIST": Finish.FILTERED,
        "PROHIBITED_CONTENT": Finish.FILTERED,
        "SPII": Finish.FILTERED,
        "IMAGE_SAFETY": Finish.FILTERED,
        "IMAGE_PROHIBITED_CONTENT": Finish.FILTERED,
        "IMAGE_RECITATION": Finish.FILTERED,
        "IMAGE_OTHER": Finish.FILTERED,
        "MODEL_ARMOR": Finish.FILTERED,
        "ESCALATION": Finish.FILTERED,
        "PUP_LIMITED_DISABLED": Finish.FILTERED,
        "CONTINUATION": Finish.PAUSED,
    }
)
"""An unknown word counts as `FILTERED`: it is not known to be a good ending."""

FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "NO_IMAGE",
    }
)
"""Where nothing else has come with them, the target has failed at the request and another may not."""

UNFINISHED = frozenset({"", "FINISH_REASON_UNSPECIFIED"})

_REASONS: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.STOP: "STOP",
        Finish.LENGTH: "MAX_TOKENS",
        Finish.CONTEXT: "MAX_TOKENS",
        Finish.TOOL_CALLS: "STOP",
        Finish.FILTERED: "SAFETY",
        Finish.REFUSED: "SAFETY",
        Finish.PAUSED: "OTHER",
    }
)


def reason(finish: Finish, *, refused: bool) -> str:
    """The finish reason for a client. Some dialects end a refusal like any other answer: `refused` tells that there was
    one."""
    return _REASONS[Finish.REFUSED if refused and finish is Finish.STOP else finish]


MALFORMED_CALL = "MALFORMED_FUNCTION_CALL"

ROLES: Mapping[str, Role] = MappingProxyType(
    # `function` is how the results of tools were once sent.
    {"": Role.USER, "user": Role.USER, "function": Role.USER, "model": Role.ASSISTANT}
)

CHOOSING: Mapping[str, Choosing] = MappingProxyType(
    {
        "": Choosing.AUTO,
        "MODE_UNSPECIFIED": Choosing.AUTO,
        "AUTO": Choosing.AUTO,
        # As `AUTO`, with arguments that keep to the schema.
        "VALIDATED": Choosing.AUTO,
        "ANY": Choosing.REQUIRED,
        "NONE": Choosing.NONE,
    }
)

MODES: Mapping[Choosing, str] = MappingProxyType(
    {
        Choosing.AUTO: "AUTO",
        Choosing.NONE: "NONE",
        Choosing.REQUIRED: "ANY",
        Choosing.NAMED: "ANY",
    }
)

TIERS: Mapping[str, str] = MappingProxyType({"standard": "default", "flex": "flex", "priority": "priority"})
TIERS_BACK: Mapping[str, str] = MappingProxyType({"default": "standard", "flex": "flex", "priority": "priority"})

_KINDS = {"image": MediaKind.IMAGE, "audio": MediaKind.AUDIO, "video": MediaKind.VIDEO}

_BY_ENDING: Mapping[str, str] = MappingProxyType(
    {
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "webp": "image/webp",
        "gif": "image/gif",
        "heic": "image/heic",
        "heif": "image/heif",
        "bmp": "image/bmp",
        "pdf": "application/pdf",
        "txt": "text/plain",
        "html": "text/html",
        "csv": "text/csv",
        "md": "text/markdown",
        "json": "application/json",
        "xml": "text/xml",
        "mp3": "audio/mp3",
        "wav": "audio/wav",
        "ogg": "audio/ogg",
        "flac": "audio/flac",
        "mp4": "video/mp4",
        "mov": "video/mov",
        "webm": "video/webm",
    }
)

# The first bytes of the formats, as base64 has them.
_BY_BEGINNING = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
    ("SUQz", "audio/mp3"),
)

_VIDEO_HOSTS = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"})


def kind(media_type: str, url: str = "") -> MediaKind:
    if not media_type and host_of(url) in _VIDEO_HOSTS:
        return MediaKind.VIDEO
    return _KINDS.get(media_type.partition("/")[0].lower(), MediaKind.FILE)


def host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def type_by_ending(url: str) -> str:
    """The media type of a URL, by what its path ends with; empty for none that is known."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return _BY_ENDING.get(path.rpartition(".")[2].lower(), "")


def type_by_beginning(data: str) -> str:
    """The media type of base64."""
    return next((found for beginning, found in _BY_BEGINNING if data.startswith(beginning)), "")
