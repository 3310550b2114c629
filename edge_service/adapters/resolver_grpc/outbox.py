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
        self.dropped = 0
        """The number of reports that were given up."""

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, report: pb.OutcomeReport) -> None:
        number = next(self._ids)
        self._kept[number] = self._unsent[number] = pb.ReportItem(id=number, report=report)
        if len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._unsent.pop(oldest, None)
            self.dropped += 1

    def take(self) -> list[pb.ReportItem]:
        """Returns the reports to send, in order."""
        items = list(self._unsent.values())
        self._unsent.clear()
        return items

    def reopened(self) -> None:
        """There is a new stream: reports that were sent on the last one and not acknowledged are sent again."""
        self._unsent = dict(self._kept)

    def acknowledged(self, ids: Iterable[int]) -> None:
        for number in ids:
            self._kept.pop(number, None)
