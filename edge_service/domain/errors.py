"""What can go wrong with a request, as the client is told of it, in no dialect yet.

ApiError
+- MistakeError             500  the gateway's own
+- InvalidRequestError      400  the body is not what the route takes
|  +- ContextLengthError    400  it does not fit into the context of any target
|  +- NeedsUnmetError       400  no target behind the name can do what it asks for
|  +- EncodedBodyError      415  it is compressed
+- ClientKeyError           401  the client has shown no key, or one that serves nobody
+- RequestTimeoutError      408  the request did not arrive in time
+- PayloadTooLargeError     413
+- HeadersTooLargeError     431
+- ModelNotFoundError       404  nothing has this name
+- NoSuchMethodError        404  nothing of the API is called so
+- ResponseNotFoundError    404  no response is known under this id, or not to this client
+- LimitedError             429  every target has reached a limit
+- ClientLimitError         429  the client has reached a limit of its own
+- TooManyConcurrentError   429  this client has as many requests under way as it may
+- UnavailableError         503  every target is out of service, or nobody can tell
|  +- NoPlanError           503  the resolver's answer is no plan: it is broken, or of another version
+- OverloadedError          503  the gateway has as much to do as it can
+- UpstreamError            5xx  the targets were tried, and this is the most useful of what they answered
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from edge_service.domain.classification import classify
from edge_service.domain.client_limits import ClientLimits
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.retry_after import STATUSES, whole_seconds


class ApiError(Exception):
    """`message` is meant for the caller's developer and never holds secrets or prompts."""

    status = 500
    code = "internal_error"
    limits: ClientLimits | None = None
    """What the client may still do, where that is why."""

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The field of the request that is at fault."""
        self.retry_after_s = retry_after_s

    @property
    def retry_after(self) -> str | None:
        """The value of the Retry-After header: whole seconds, at least 1."""
        return None if self.retry_after_s is None else whole_seconds(self.retry_after_s)

    @property
    def headers(self) -> Headers:
        """Of an answer that tells of the error in the gateway's own words."""
        own = [(b"content-type", b"application/json")]
        if self.retry_after is not None:
            own.append((b"retry-after", self.retry_after.encode()))
        return own


class MistakeError(ApiError):
    def __init__(self) -> None:
        super().__init__("the gateway made a mistake")


class InvalidRequestError(ApiError):
    status = 400
    code = "invalid_request"


class ContextLengthError(InvalidRequestError):
    code = "context_length_exceeded"


class NeedsUnmetError(InvalidRequestError):
    code = "needs_unmet"


class EncodedBodyError(InvalidRequestError):
    status = 415
    code = "unsupported_media_type"

    def __init__(self) -> None:
        super().__init__(
            "the body has a content-encoding, and none is taken: send it as it is", param="content-encoding"
        )

    @property
    def headers(self) -> Headers:
        return [*super().headers, (b"accept-encoding", b"identity")]  # RFC 9110, 12.5.3.


class ClientKeyError(ApiError):
    status = 401
    code = "invalid_api_key"

    @property
    def headers(self) -> Headers:
        # Whatever scheme the client speaks, this is one that it may use: RFC 9110, 11.6.1, and RFC 6750.
        return [*super().headers, (b"www-authenticate", b'Bearer realm="forebay"')]


class RequestTimeoutError(ApiError):
    status = 408
    code = "request_timeout"


class HeadersTooLargeError(ApiError):
    status = 431
    code = "headers_too_large"


class PayloadTooLargeError(ApiError):
    status = 413
    code = "request_too_large"


class ModelNotFoundError(ApiError):
    status = 404
    code = "model_not_found"


class NoSuchMethodError(ApiError):
    status = 404
    code = "not_found"


class ResponseNotFoundError(ApiError):
    status = 404
    code = "response_not_found"


class LimitedError(ApiError):
    status = 429
    code = "rate_limited"


class ClientLimitError(ApiError):
    status = 429
    code = "rate_limit_exceeded"

    @property
    def headers(self) -> Headers:
        own = super().headers
        if self.retry_after_s is not None:
            # To the millisecond, for the SDKs that read it: https://github.com/openai/openai-python#retries
            own.append((b"retry-after-ms", b"%d" % math.ceil(self.retry_after_s * 1000)))
        return own


class TooManyConcurrentError(ApiError):
    status = 429
    code = "too_many_concurrent"


class UnavailableError(ApiError):
    status = 503
    code = "unavailable"


class NoPlanError(UnavailableError):
    code = "no_plan"


class OverloadedError(ApiError):
    status = 503
    code = "overloaded"


class UpstreamError(ApiError):
    """A failed walk. `status` and `code` are those of `outcome`, as `_TOLD` has them."""

    def __init__(self, outcome: Outcome, tried: int) -> None:
        row = outcome.told_as
        status, self.code, words = _TOLD.get(row, (502, "upstream_error", "the provider failed"))
        # The provider's own, where it says the same thing: 529 is a 503, and 422 a 400.
        self.status = outcome.status if row in _IN_THEIR_WORDS and classify(outcome.status) is row else status
        self.outcome = outcome
        if outcome.is_unfit:
            self.code, words = "inexpressible", "no target's dialect can say what the request asks for"
        detail = f" ({outcome.detail})" if outcome.detail else ""
        if outcome.is_unfit:
            detail += ": leave it out, or name a model that is served in this API's own dialect"
        targets = "1 target was" if tried == 1 else f"{tried} targets were"
        super().__init__(f"{words}{detail}; {targets} tried", retry_after_s=outcome.retry_after_s)

    @property
    def retry_after(self) -> str | None:
        return super().retry_after if self.status in STATUSES else None


_IN_THEIR_WORDS = (Disposition.OVERLOADED, Disposition.CLIENT_FAULT)

_TOLD: Mapping[Disposition, tuple[int, str, str]] = MappingProxyType(
    {
        Disposition.RATE_LIMITED: (429, "rate_limited", "the provider's rate limit is reached"),
        Disposition.QUOTA: (429, "quota_exceeded", "the provider's quota is used up"),
        Disposition.OVERLOADED: (503, "upstream_overloaded", "the provider is overloaded"),
        Disposition.SERVER_ERROR: (502, "upstream_error", "the provider failed"),
        Disposition.MODEL_MISSING: (404, "upstream_model_not_found", "the provider does not have the model"),
        Disposition.TIMEOUT: (504, "upstream_timeout", "the provider did not answer in time"),
        Disposition.BROKEN: (502, "upstream_broken", "the provider's answer was cut or malformed"),
        Disposition.EMPTY: (502, "upstream_empty", "the provider's answer was empty"),
        Disposition.CREDENTIAL: (
            502,
            "upstream_credentials",
            "the gateway has no credentials that the provider accepts",
        ),
        Disposition.UNREACHABLE: (502, "upstream_unreachable", "the provider cannot be reached"),
        Disposition.CLIENT_FAULT: (400, "invalid_request", "the provider refuses the request"),
        Disposition.CONTEXT_LENGTH: (
            400,
            "context_length_exceeded",
            "the request does not fit into the model's context",
        ),
        Disposition.CANCELLED: (503, "unavailable", "the gateway cannot go on"),
    }
)
