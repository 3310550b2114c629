"""Applies what the configuration changes in a target's requests: fields that are renamed, set, filled in or removed."""

from __future__ import annotations

import msgspec

from edge_service.dialects import surrogates
from edge_service.dialects.exchange import JSON, Written
from edge_service.domain.bodies import Body
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.plan import NO_PARAMS, Attempt

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def applied(attempt: Attempt, written: Written) -> Body:
    """The body of a request for this target. What is not named in the configuration stays byte for byte, and so do
    forms."""
    params, quirks = attempt.params, attempt.quirks
    if (params is NO_PARAMS and not quirks.drop and not quirks.rename) or written.content_type != JSON:
        return written.body
    body = bytes(written.body)
    try:
        return _changed(attempt, body)
    except msgspec.DecodeError:
        hidden = surrogates.hide(body)
        if hidden is None:
            raise InvalidRequestError("the body cannot be read as JSON") from None
        return hidden.shown(_changed(attempt, hidden.data))


def _changed(attempt: Attempt, body: bytes) -> bytes:
    params, drop = attempt.params, attempt.quirks.drop
    fields = _fields.decode(body)
    for name, own in attempt.quirks.rename:
        if name in fields:
            value = fields.pop(name)
            fields.setdefault(own, value)
    if params.default_json:
        fields = {**_fields.decode(params.default_json), **fields}
    for name in drop | params.drop:
        fields.pop(name, None)
    if params.set_json:
        fields.update(_fields.decode(params.set_json))
    return msgspec.json.encode(fields)
