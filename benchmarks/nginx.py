"""nginx twice: as a provider that is never the bottleneck, and as the plain reverse proxy that is the limit."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes

UPSTREAM_MODEL = "upstream-model"
EVENTS = 50
"""Of a stream, the terminal marker included."""
DONE = b"data: [DONE]\n\n"


def completion() -> bytes:
    """A chat completion of 1 KB."""
    answer = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": UPSTREAM_MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 180, "total_tokens": 380},
    }
    text = "x" * (1024 - len(json.dumps(answer)))
    answer["choices"] = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    return json.dumps(answer).encode()


def events() -> list[bytes]:
    """A streamed chat completion. All events but the last have the same length: see `_PROVIDER`."""
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": UPSTREAM_MODEL}
    deltas = [
        {**head, "choices": [{"index": 0, "delta": {"content": f" word-{i:02}"}, "finish_reason": None}]}
        for i in range(EVENTS - 1)
    ]
    return [*(b"data: " + json.dumps(delta).encode() + b"\n\n" for delta in deltas), DONE]


_COMMON = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
{user}
events {{ worker_connections 2048; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  {http}
}}
"""

# A POST of a static file is refused with 405: hence `error_page`. A substitution that never finds anything takes the
# content-length away, so that streams are chunked as real providers send them. Output buffers of one event's length
# make each event a chunk and a write of its own.
_PROVIDER = """
  types { application/json json; text/event-stream sse; }
  open_file_cache max=10 inactive=1h;
  open_file_cache_valid 1h;
  server {
    listen 127.0.0.1:%(port)d backlog=1024;
    root %(directory)s;
    etag off;
    location /whole/ { error_page 405 =200 /whole.json; return 405; }
    location /events/ { error_page 405 =200 /events.sse; return 405; }
    location /burst/ { error_page 405 =200 /burst.sse; return 405; }
    location = /events.sse {
      output_buffers 1 %(event_bytes)d; sub_filter_types *; sub_filter '<never>' '';
    }
    location = /burst.sse { output_buffers 1 64k; sub_filter_types *; sub_filter '<never>' ''; }
  }
"""

_STREAMS = """
  types { text/event-stream sse; }
  open_file_cache max=10 inactive=1h;
  open_file_cache_valid 1h;
  server {
    listen 127.0.0.1:%(port)d backlog=1024;
    root %(directory)s;
    etag off;
    %(locations)s
  }
"""
_STREAM = """
    location /%(name)s/ { error_page 405 =200 /%(name)s.sse; return 405; }
    location = /%(name)s.sse { output_buffers 1 %(bytes)d; sub_filter_types *; sub_filter '<never>' ''; }
"""

_PROXY = """
  upstream provider { server 127.0.0.1:%(provider_port)d; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:%(port)d backlog=1024;
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
"""


@dataclass(frozen=True)
class Nginx:
    """A nginx that is listening."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def provider(program: str, directory: Path, cores: tuple[int, ...]) -> Iterator[Nginx]:
    """Answers every POST below `/whole/` with a chat completion, below `/events/` with a stream in which each event is
    written by itself without a pause, and below `/burst/` with the same stream in one piece."""
    port = processes.free_port()
    stream = events()
    directory.mkdir(mode=0o755)
    (directory / "whole.json").write_bytes(completion())
    for name in ("events.sse", "burst.sse"):
        (directory / name).write_bytes(b"".join(stream))
    http = _PROVIDER % {"port": port, "directory": directory, "event_bytes": len(stream[0])}
    with _nginx(program, directory, cores, port, http) as pid:
        yield Nginx(pid, port)


@contextlib.contextmanager
def streams(
    program: str, directory: Path, cores: tuple[int, ...], files: Mapping[str, Sequence[bytes]]
) -> Iterator[Nginx]:
    """Answers every POST below `/NAME/` with the stream of that name, in writes as long as its shortest event."""
    port = processes.free_port()
    directory.mkdir(mode=0o755)
    for name, stream in files.items():
        (directory / f"{name}.sse").write_bytes(b"".join(stream))
    sizes = {name: min(map(len, stream)) for name, stream in files.items()}
    locations = "".join(_STREAM % {"name": name, "bytes": size} for name, size in sizes.items())
    http = _STREAMS % {"port": port, "directory": directory, "locations": locations}
    with _nginx(program, directory, cores, port, http) as pid:
        yield Nginx(pid, port)


@contextlib.contextmanager
def proxy(program: str, directory: Path, cores: tuple[int, ...], upstream: Nginx) -> Iterator[Nginx]:
    """Passes everything on to the provider."""
    port = processes.free_port()
    directory.mkdir(mode=0o755)
    http = _PROXY % {"port": port, "provider_port": upstream.port}
    with _nginx(program, directory, cores, port, http) as pid:
        yield Nginx(pid, port)


@contextlib.contextmanager
def _nginx(program: str, directory: Path, cores: tuple[int, ...], port: int, http: str) -> Iterator[int]:
    # Started by root, the worker would be someone who may not read the temporary directory.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    config, log = directory / "nginx.conf", directory / "nginx.log"
    config.write_text(_COMMON.format(directory=directory, user=user, http=http))
    command = [program, "-e", "stderr", "-p", str(directory), "-c", str(config)]
    with processes.running(command, cores=cores, log=log) as process:
        processes.wait_until(lambda: processes.is_listening(port), process)
        yield process.pid
