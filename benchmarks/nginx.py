"""nginx twice: as a provider that is never the bottleneck, and as the plain reverse proxy that is the limit."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import debian, processes
from benchmarks.debian import MissingToolError
from benchmarks.processes import StartError

UPSTREAM_MODEL = "upstream-model"
DONE = b"data: [DONE]\n\n"
REFUSAL = b'{"error": {"message": "Too many requests", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}'


@dataclass(frozen=True)
class Stream:
    """What the provider sends below a place of its own."""

    events: Sequence[bytes]
    write_bytes: int
    """How much it writes at a time."""
    pause_s: float = 0.0
    """Between two events; each is a write then, whatever stands in `write_bytes`."""


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


def events(count: int) -> list[bytes]:
    """A streamed chat completion of so many events, the terminal marker included. All events but the last have the same
    length, so that a server that writes by so many bytes writes event by event."""
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": UPSTREAM_MODEL}
    deltas = [
        {**head, "choices": [{"index": 0, "delta": {"content": f" word-{i:03}"}, "finish_reason": None}]}
        for i in range(count - 1)
    ]
    return [*(b"data: " + json.dumps(delta).encode() + b"\n\n" for delta in deltas), DONE]


_COMMON = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
{user}
{modules}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_buffer_size 512k;
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
  open_file_cache max=50 inactive=1h;
  open_file_cache_valid 1h;
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    root %(directory)s;
    etag off;
    location /whole/ { error_page 405 =200 /whole.json; return 405; }
    %(locations)s
  }
  server {
    listen 127.0.0.1:%(refusing_port)d backlog=4096;
    default_type application/json;
    location / { add_header retry-after 1 always; return 429 '%(refusal)s'; }
  }
"""
_STREAM = """
    location /%(name)s/ { error_page 405 =200 /%(name)s.sse; return 405; }
    location = /%(name)s.sse { output_buffers 1 %(bytes)d; sub_filter_types *; sub_filter '<never>' ''; }
"""
_PACED = """
    location /%(name)s/ {
      lua_check_client_abort on;
      content_by_lua_block {
        ngx.req.discard_body()
        ngx.header["content-type"] = "text/event-stream"
        for number, event in ipairs(streams["%(name)s"]) do
          if number > 1 then ngx.sleep(%(pause_s)s) end
          ngx.print(event)
          ngx.flush(true)
        end
      }
    }
"""
_LUA_STREAM = """
    do
      local all = {}
      local text = assert(io.open("%(directory)s/%(name)s.sse")):read("*a")
      for event in text:gmatch("(.-)\\n\\n") do all[#all + 1] = event .. "\\n\\n" end
      streams["%(name)s"] = all
    end
"""

_PROXY = """
  upstream provider { server 127.0.0.1:%(provider_port)d; keepalive 256; keepalive_requests 1000000000; }
  upstream limited {
    server 127.0.0.1:%(refusing_port)d max_fails=0;
    server 127.0.0.1:%(provider_port)d backup;
    keepalive 256;
    keepalive_requests 1000000000;
  }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_buffering off;
  proxy_read_timeout 600s;
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / { proxy_pass http://provider; }
    location /limited/ { proxy_pass http://limited/; proxy_next_upstream error http_429 non_idempotent; }
  }
"""


@dataclass(frozen=True)
class Nginx:
    """A nginx that is listening."""

    pid: int
    port: int
    refusing_port: int = 0
    """Of the provider: where everything is answered with 429."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def refusing_url(self) -> str:
        return f"http://127.0.0.1:{self.refusing_port}"


@contextlib.contextmanager
def provider(program: str, directory: Path, cores: tuple[int, ...], streams: Mapping[str, Stream]) -> Iterator[Nginx]:
    """Answers every POST below `/whole/` with a chat completion, and below `/NAME/` with the stream of that name.
    Streams with pauses need Debian's `libnginx-mod-http-lua`."""
    port, refusing_port = processes.free_port(), processes.free_port()
    directory.mkdir(mode=0o755)
    (directory / "whole.json").write_bytes(completion())
    locations, lua = [], []
    for name, stream in streams.items():
        (directory / f"{name}.sse").write_bytes(b"".join(stream.events))
        told = {"name": name, "bytes": stream.write_bytes, "pause_s": stream.pause_s, "directory": directory}
        locations.append((_PACED if stream.pause_s else _STREAM) % told)
        if stream.pause_s:
            lua.append(_LUA_STREAM % told)
    http = _PROVIDER % {
        "port": port,
        "refusing_port": refusing_port,
        "directory": directory,
        "locations": "".join(locations),
        "refusal": REFUSAL.decode(),
    }
    if lua:
        http = f"init_by_lua_block {{ streams = {{}}\n{''.join(lua)} }}\n{http}"
    with _nginx(program, directory, cores, port, http, with_lua=bool(lua)) as pid:
        yield Nginx(pid, port, refusing_port)


@contextlib.contextmanager
def proxy(program: str, directory: Path, cores: tuple[int, ...], upstream: Nginx) -> Iterator[Nginx]:
    """Passes everything on to the provider; below `/limited/` it asks where it is refused first."""
    port = processes.free_port()
    directory.mkdir(mode=0o755)
    ports = {"port": port, "provider_port": upstream.port, "refusing_port": upstream.refusing_port}
    with _nginx(program, directory, cores, port, _PROXY % ports) as pid:
        yield Nginx(pid, port)


def require_lua(program: str, directory: Path) -> None:
    """Raises `MissingToolError` if this nginx does not start with the module: it takes one that was built for it."""
    port = processes.free_port()
    http = f"init_by_lua_block {{ }} server {{ listen 127.0.0.1:{port}; }}"
    directory.mkdir(mode=0o755)
    try:
        with _nginx(program, directory, (), port, http, with_lua=True):
            pass
    except StartError as error:
        raise MissingToolError(f"{program} does not start with it: {processes.last_line(directory)}") from error


@contextlib.contextmanager
def _nginx(
    program: str, directory: Path, cores: tuple[int, ...], port: int, http: str, *, with_lua: bool = False
) -> Iterator[int]:
    # Started by root, the worker would be someone who may not read the temporary directory.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    names = ("ndk_http_module", "ngx_http_lua_module") if with_lua else ()
    modules = "\n".join(f"load_module {debian.NGINX_MODULES}/{name}.so;" for name in names)
    config, log = directory / "nginx.conf", directory / "nginx.log"
    config.write_text(_COMMON.format(directory=directory, user=user, modules=modules, http=http))
    command = [program, "-e", "stderr", "-p", str(directory), "-c", str(config)]
    with processes.running(command, cores=cores, log=log) as process:
        processes.wait_until(lambda: processes.is_listening(port), process)
        yield process.pid
