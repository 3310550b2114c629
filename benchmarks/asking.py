"""A request as a load generator sends it, over and over."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A POST."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).netloc

    @property
    def target(self) -> str:
        """What stands in the request line."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    @property
    def bytes(self) -> bytes:
        """On the wire, by HTTP/1.1."""
        lines = [f"POST {self.target} HTTP/1.1", f"host: {self.host}", *(f"{n}: {v}" for n, v in self.headers.items())]
        head = "\r\n".join([*lines, f"content-length: {len(self.body)}", "", ""])
        return head.encode() + self.body
