"""Providers for the composed services to ask, each below a path of its own: it answers every chat with the key that it
was shown, streamed or whole. `GET /seen` tells how many chats began at each, and from how many whoever asked has gone
away. Runs by itself in a container, so it knows the standard library alone."""

from __future__ import annotations

import json
import select
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECES = 5
PIECE_S = 0.02

seen: Counter[str] = Counter()
lock = threading.Lock()


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with lock:
            self._answer(json.dumps(seen).encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with lock:
            seen[self.path.split("/")[1]] += 1
        if "wait" in json.dumps(asked["messages"]):
            self._wait()
        elif asked.get("stream"):
            self._stream(asked["model"])
        else:
            message = {"role": "assistant", "content": self.headers.get("authorization", "no key")}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"]}
            self._answer(json.dumps({**head, "choices": [choice]}).encode())

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
        for number in range(PIECES):
            finish = "stop" if number == PIECES - 1 else None
            choice = {"index": 0, "delta": {"content": f"piece {number}"}, "finish_reason": finish}
            self.wfile.write(b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n")
            time.sleep(PIECE_S)
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _wait(self) -> None:
        """Until whoever asked goes away."""
        select.select([self.connection], [], [], 60)
        self.close_connection = True
        with lock:
            seen["left"] += 1


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8080), Provider).serve_forever()
