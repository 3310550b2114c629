"""The resolver as the command calls it, with refusals as sentences that say what to do about them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from forebay.resolver.v1 import pool_admin_service_pb2 as admin_pb
from forebay.resolver.v1 import pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay_cli.tls import Tls, handshake_failure

Response = TypeVar("Response")

READ_S = 5.0
CHANGE_S = 20.0
"""A change waits for every resolver to serve from it."""

_ERROR_DOMAIN = "forebay"

_UNCERTAIN = "the change may have been made all the same: look before you repeat it"

_OF_THE_STORE = {"STORE_AWAY", "MAY_HAVE_BEEN_APPLIED", "NOT_EVERYWHERE"}
"""Refusals whose text is complete."""

_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # The resolver is a neighbour: what `http_proxy` says is for the way to the providers.
    ("grpc.enable_http_proxy", 0),
)


class CallError(Exception):
    """A call that brought no answer; its text is for the operator, and says what to do."""

    code = "call_failed"


class ClientKeyNeededError(CallError):
    """The configuration has clients, and the call has shown the key of none."""

    code = "client_key_needed"


class ResolverClient:
    """Calls one resolver. Every call waits at most `timeout_s`, if it is told, and raises `CallError`."""

    def __init__(
        self,
        address: str,
        token: str,
        timeout_s: float | None,
        channel: grpc.Channel | None = None,
        client_key_sha256: bytes = b"",
        tls: Tls | None = None,
    ) -> None:
        """Plaintext without `tls`. Raises `TlsError`."""
        self.address = address
        self._is_secure = tls is not None
        self._timeout_s = timeout_s
        self._client_key = client_key_sha256
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if channel is None:
            channel = tls.channel(address, _OPTIONS) if tls else grpc.insecure_channel(address, options=_OPTIONS)
        self._channel = channel
        self._stub = resolver_service_pb2_grpc.ResolverServiceStub(self._channel)
        self._admin: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def resolve(self, request: pb.ResolveRequest) -> pb.ResolveResponse:
        request.client_key_sha256 = self._client_key
        return self._call(self._stub.Resolve, request)

    def explain(self, request: pb.ResolveRequest, management_key: str = "") -> pb.ExplainResponse:
        """What the client whose key was given would see. If a client key is needed and none was given, the management
        key shows everything."""
        request.client_key_sha256 = self._client_key
        explain = pb.ExplainRequest(request=request)
        try:
            return self._call(self._stub.Explain, explain)
        except ClientKeyNeededError:
            if self._client_key or not management_key:
                raise
        named = admin_pb.ExplainNameRequest(explain=explain)
        response: admin_pb.ExplainNameResponse = self._call(self._admin.ExplainName, named, management_key)
        return response.explanation

    def models(self) -> pb.ListModelsResponse:
        return self._call(self._stub.ListModels, pb.ListModelsRequest(client_key_sha256=self._client_key))

    def clear(self, target_id: str, management_key: str) -> None:
        self._change(self._admin.ClearCooldown, admin_pb.ClearCooldownRequest(target_id=target_id), management_key)

    def drain(self, target_id: str, management_key: str, *, drained: bool) -> None:
        request = admin_pb.DrainRequest(target_id=target_id, drained=drained)
        self._change(self._admin.Drain, request, management_key)

    def status(self, management_key: str) -> admin_pb.GetStatusResponse:
        method: Callable[..., admin_pb.GetStatusResponse] = self._admin.GetStatus
        return self._call(method, admin_pb.GetStatusRequest(), management_key)

    def revisions(self, most: int, management_key: str) -> admin_pb.ListRevisionsResponse:
        method: Callable[..., admin_pb.ListRevisionsResponse] = self._admin.ListRevisions
        return self._call(method, admin_pb.ListRevisionsRequest(page_size=most), management_key)

    def roll_back(self, revision: int, author: str, management_key: str) -> admin_pb.RollbackResponse:
        method: Callable[..., admin_pb.RollbackResponse] = self._admin.Rollback
        return self._change(method, admin_pb.RollbackRequest(revision=revision, author=author), management_key)

    def apply(
        self, text: bytes, author: str, management_key: str, *, validate_only: bool
    ) -> admin_pb.ApplyConfigurationResponse:
        method: Callable[..., admin_pb.ApplyConfigurationResponse] = self._admin.ApplyConfiguration
        request = admin_pb.ApplyConfigurationRequest(text=text, author=author, validate_only=validate_only)
        return self._change(method, request, management_key, is_made=not validate_only)

    def health(self, service: str) -> str:
        """The health protocol's word for the state of a service, such as `SERVING`."""
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        response = self._call(stub.Check, health_pb2.HealthCheckRequest(service=service))
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))

    def _change(
        self, method: Callable[..., Response], request: Any, management_key: str, *, is_made: bool = True
    ) -> Response:
        """`is_made` is False for one that is only checked."""
        return self._call(method, request, management_key, CHANGE_S, may_be_made=is_made)

    def _call(
        self,
        method: Callable[..., Response],
        request: Any,
        management_key: str = "",
        usual_s: float = READ_S,
        *,
        may_be_made: bool = False,
    ) -> Response:
        """`may_be_made`: the request changes something, which may have happened even if its answer got lost."""
        # The token has `authorization` to itself: a call may have to show both.
        key = (("x-management-key", management_key),) if management_key else ()
        timeout_s = self._timeout_s or usual_s
        try:
            return method(request, timeout=timeout_s, metadata=(*self._metadata, *key))
        except grpc.RpcError as error:
            if may_be_made and (how := self._lost(error, timeout_s)):
                raise CallError(f"{how}; {_UNCERTAIN}") from None
            raise self._refusal(error, timeout_s) from None

    def _lost(self, error: Any, timeout_s: float) -> str:
        """How the answer to a question that was sent got lost; empty if it was not."""
        code, details = error.code(), str(error.details())
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{self.address} did not answer within {timeout_s:g} s"
        if code is grpc.StatusCode.UNAVAILABLE and "Stream removed" in details:  # gRPC's words for a broken connection
            return f"{self.address} went away before it answered"
        return ""

    def _refusal(self, error: Any, timeout_s: float) -> CallError:
        info = _error_info(error)
        is_of_key = info is not None and error.code() is grpc.StatusCode.UNAUTHENTICATED
        return (ClientKeyNeededError if is_of_key else CallError)(self._sentence(error, timeout_s))

    def _sentence(self, error: Any, timeout_s: float) -> str:
        """What happened and what to do, on one line. `error` is a `grpc.Call` as well, which no type says."""
        code, details = error.code(), " ".join(str(error.details() or "").split())
        info = _error_info(error)
        if info is not None and code is grpc.StatusCode.UNAUTHENTICATED:
            return f"{details}: the configuration has clients, so set FOREBAY_CLIENT_KEY to the key of one"
        if info is not None and info.reason == "TARGET_NOT_FOUND":
            return f"{details}; 'forebay explain NAME' lists those behind a name"
        if info is not None and info.reason == "REVISION_NOT_FOUND":
            return f"{details}; 'forebay revisions' lists those that are"
        if info is not None and code in (grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION):
            return details
        if info is not None and info.reason in _OF_THE_STORE:
            return details
        if info is not None and code is grpc.StatusCode.NOT_FOUND:
            return details if info.metadata.get("closest") else f"{details}; 'forebay models' lists what can be called"
        if info is not None:
            return f"{details}; 'forebay explain NAME' says why"
        match code:
            case grpc.StatusCode.UNAVAILABLE if reason := handshake_failure(details, is_secure=self._is_secure):
                return f"no resolver can be talked to at {self.address}: {reason}"
            case grpc.StatusCode.UNAVAILABLE:
                return (
                    f"no resolver can be reached at {self.address}: start it with 'forebay-resolver --config FILE', "
                    f"or say where it is with --resolver or FOREBAY_RESOLVER"
                )
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"{self.address} did not answer within {timeout_s:g} s: allow more with --timeout"
            case grpc.StatusCode.UNIMPLEMENTED if "FOREBAY_MANAGEMENT_KEY" in details:
                return details
            case grpc.StatusCode.UNIMPLEMENTED:
                return f"what answers at {self.address} is no resolver of this version ({details}): check --resolver"
            case grpc.StatusCode.NOT_FOUND:
                return f"{self.address} reports no health under this name: --service is readiness, liveness or ''"
            case grpc.StatusCode.UNAUTHENTICATED:
                return details
            case grpc.StatusCode.INVALID_ARGUMENT:
                return "\n".join((details, *_mistakes(error)))
        return f"{self.address} answered {code.name}: {details}"


def _mistakes(error: Any) -> list[str]:
    """All that is wrong with a configuration, where the words name no more than how much that is."""
    found = rpc_status.from_call(error)
    bad = error_details_pb2.BadRequest()
    for detail in found.details if found is not None else ():
        if detail.Is(bad.DESCRIPTOR) and detail.Unpack(bad) and len(bad.field_violations) > 1:
            return [
                f"{each.field}: {each.description}" if each.field else each.description for each in bad.field_violations
            ]
    return []


def _error_info(error: Any) -> error_details_pb2.ErrorInfo | None:
    """The resolver's own words on a refusal; None if it was not the resolver that refused."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # Details that contradict the status: not the resolver's.
        return None
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == _ERROR_DOMAIN:
            return info
    return None
