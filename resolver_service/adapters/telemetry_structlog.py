"""Log lines: one JSON object each, on standard error, so that nothing in a value can pass for another line."""

from __future__ import annotations

import logging
import sys

import structlog

from resolver_service.app.ports import HealthChanged
from resolver_service.domain.catalog import Disposition

_log = structlog.get_logger("forebay.resolver.health")

_SOMEBODY_S_TO_MEND = {
    Disposition.CREDENTIAL: "credential_refused",
    Disposition.QUOTA: "credential_without_quota",
    Disposition.MODEL_MISSING: "model_missing",
}
"""What will not pass by itself has names of its own, to raise an alarm by."""


def configure() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def health_changed(change: HealthChanged) -> None:
    """A `Tell`."""
    said = {"scope": change.scope, "target": change.target_id}
    if change.reason is not None:
        said["reason"] = change.reason.value
    if change.state == "cooling":
        event = _SOMEBODY_S_TO_MEND.get(change.reason, "cooling") if change.reason else "cooling"
        _log.warning(event, **said, for_s=round(change.for_s, 3))
    else:
        _log.info(change.state, **said)
