"""Forms with files, as clients send them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    name: str
    content: bytes
    filename: str | None = None
    head: bytes = b""
    """Further headers, each with its line end."""

    def written(self) -> bytes:
        filename = "" if self.filename is None else f'; filename="{self.filename}"'
        line = f'Content-Disposition: form-data; name="{self.name}"{filename}\r\n'.encode()
        return line + self.head + b"\r\n" + self.content


def form(parts: list[Part], boundary: bytes, preamble: bytes = b"", epilogue: bytes = b"\r\n") -> bytes:
    delimiter = b"\r\n--" + boundary
    body = b"".join(delimiter + b"\r\n" + part.written() for part in parts) + delimiter + b"--" + epilogue
    return preamble + (body if preamble else body.removeprefix(b"\r\n"))
