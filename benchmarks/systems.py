"""What stands between clients and the provider, and whether it does the work that is to be measured."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import nginx, streams
from benchmarks.asking import Asked
from benchmarks.forebay import Forebay
from benchmarks.routes import PACE_S, REFUSED, ROUTES, Route

PROVIDER = "provider"
"""Asked without anything between."""
NGINX = "nginx"
FOREBAY = "Forebay"
EDGE = "edge"
RESOLVER = "resolver"
SILENT_S = 20.0
"""The longest that an answer may let wait for its next bytes."""
ANSWER_S = 20.0
"""The longest that all of it may take."""


class WrongAnswerError(Exception):
    """A system does not do the work that is to be measured."""


@dataclass(frozen=True)
class System:
    name: str
    pids: Mapping[str, Sequence[int]]
    """The processes that are charged, by their names in the report."""
    asked: Callable[[Route], Asked]
    translates: bool = True
    """Clients get the API that they ask by, and not the provider's."""

    def api(self, route: Route) -> str:
        """Of the answer."""
        return route.client if self.translates else route.provider


def direct(provider: nginx.Nginx) -> System:
    return System(PROVIDER, {}, lambda route: _plain(provider.url, route), translates=False)


def proxied(proxy: nginx.Nginx) -> System:
    return System(NGINX, {NGINX: [proxy.pid]}, lambda route: _plain(proxy.url, route), translates=False)


def _plain(url: str, route: Route) -> Asked:
    """The provider's own API, at its place."""
    prefix = "/limited" if REFUSED in route.places else ""
    model = nginx.UPSTREAM_MODEL
    path = streams.path(route.provider, model)
    return Asked(f"{url}{prefix}/{route.place}{path}", route.body(route.provider, model))


def gateway(services: Forebay, name: str = FOREBAY) -> System:
    edge = services.edge

    def asked(route: Route) -> Asked:
        return Asked(edge.address + streams.path(route.client, route.name), route.body(route.client, route.name))

    return System(name, {EDGE: [edge.pid], RESOLVER: [services.resolver.pid]}, asked)


def verified_bytes(system: System, route: Route) -> int:
    """Asks once; how long the answer is. Raises `WrongAnswerError` if it is not the provider's text in the API that was
    asked for, or if a stream that the provider takes its time for does not come as it is sent."""
    asked = system.asked(route)
    connection = http.client.HTTPConnection(asked.host, timeout=SILENT_S)
    with contextlib.closing(connection):
        began_at = time.perf_counter()
        connection.request("POST", asked.target, asked.body, dict(asked.headers))
        try:
            response = connection.getresponse()
            answer, came_s = b"", list[float]()
            while part := response.read1():
                answer += part
                came_s.append(time.perf_counter() - began_at)
                if came_s[-1] > ANSWER_S:
                    raise WrongAnswerError(f"{system.name}, {route.name}: no end of its answer after {ANSWER_S:.0f} s")
        except http.client.HTTPException as error:
            raise WrongAnswerError(f"{system.name}, {route.name}: no answer by HTTP: {error!r}") from error
    said = f"{system.name}, {route.name}: {response.status}, {answer[:300]!r}"
    if response.status != 200:
        raise WrongAnswerError(said)
    try:
        got = streams.text(system.api(route), answer) if route.is_stream else _content(answer)
    except (ValueError, LookupError, TypeError) as error:
        raise WrongAnswerError(said) from error
    if got != route.text:
        raise WrongAnswerError(said)
    if route is ROUTES["paced"] and came_s[0] > route.events * PACE_S / 2:
        raise WrongAnswerError(f"{system.name} holds streams back: the first event came after {came_s[0]:.2f} s")
    if REFUSED in route.places and system.translates and response.headers["x-forebay-attempts"] != "2":
        raise WrongAnswerError(f"{system.name} served a request at the first target that was to be refused there")
    return len(answer)


def _content(answer: bytes) -> str:
    return str(json.loads(answer)["choices"][0]["message"]["content"])
