from __future__ import annotations

from contextlib import suppress
from typing import TextIO, cast

import pytest
import structlog
from structlog.testing import capture_logs

from resolver_service.adapters.telemetry_structlog import Lines, health_changed
from resolver_service.app.ports import HealthChanged
from resolver_service.domain.policy import Disposition


@pytest.mark.parametrize(
    ("disposition", "event"),
    [
        (Disposition.CREDENTIAL, "credential_refused"),
        (Disposition.QUOTA, "credential_without_quota"),
        (Disposition.MODEL_MISSING, "model_missing"),
        (Disposition.RATE_LIMITED, "cooling"),
    ],
)
def test_what_begins_to_cool_is_warned_of(disposition: Disposition, event: str) -> None:
    with capture_logs() as lines:
        health_changed(HealthChanged("cooling", "p#0", "p/m#0", disposition, 30.00004))
    assert lines == [
        {
            "event": event,
            "log_level": "warning",
            "scope": "p#0",
            "target": "p/m#0",
            "reason": disposition.value,
            "for_s": 30.0,
        }
    ]


def test_other_changes_are_told() -> None:
    with capture_logs() as lines:
        health_changed(HealthChanged("restored", "p/m#0", "p/m#0", Disposition.EMPTY))
        health_changed(HealthChanged("drained", "p/m#0", "p/m#0"))
    told = {"log_level": "info", "scope": "p/m#0", "target": "p/m#0"}
    assert lines == [{**told, "event": "restored", "reason": "empty"}, {**told, "event": "drained"}]


def test_what_cannot_be_written_is_lost_and_nothing_else() -> None:
    with open("/dev/full", "w") as file:
        log = structlog.WriteLogger(cast(TextIO, Lines(file)))
        log.error("one")
        log.error("two" * 10_000)
        with suppress(OSError):
            file.close()
