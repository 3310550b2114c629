"""The reports that a resolver has not acknowledged yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from forebay.resolver.v1 import resolver_service_pb2 as pb

MOST = 1000


class Outbox:
    """Keeps each report until it is acknowledged, the oldest first to go when there are too many: losing one costs
    freshness, never correctness. Nothing here waits."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ids = itertools.count(1)
        self._kept: dict[int, pb.ReportItem] = {}
        self._unsent: dict[int, pb.ReportItem] = {}
        """Those of `_kept` that have not gone out on the stream that is open now."""
        self._last: pb.ReportItem | None = None
        """The latest of those that have never gone out."""
        self.dropped = 0
        """How many have been given up."""

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, report: pb.OutcomeReport) -> None:
        number = next(self._ids)
        self._kept[number] = self._unsent[number] = self._last = pb.ReportItem(id=number, report=report)
        if len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._unsent.pop(oldest, None)
            self.dropped += 1

    def close(self, decision_id: str) -> bool:
        """The latest report closes its decision as well, if that is this one's and has not gone out yet."""
        last = self._last
        if last is None or last.report.decision_id != decision_id:
            return False
        last.report.closes = True
        return True

    def take(self) -> list[pb.ReportItem]:
        """What has to go out, in order."""
        items = list(self._unsent.values())
        self._last = None
        self._unsent.clear()
        return items

    def reopened(self) -> None:
        """Another stream: what went out on the last one and was not acknowledged may never have arrived."""
        self._unsent = dict(self._kept)

    def acknowledged(self, ids: Iterable[int]) -> None:
        for number in ids:
            self._kept.pop(number, None)
