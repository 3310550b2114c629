"""The client over grpcio-testing's channel: what is sent, and what each status is said to mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from forebay.resolver.v1 import pool_admin_service_pb2 as admin_pb
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay_cli.client import CallError, ClientKeyNeededError, ResolverClient

SERVICE = pb.DESCRIPTOR.services_by_name["ResolverService"]
ADMIN = admin_pb.DESCRIPTOR.services_by_name["PoolAdminService"]
METHODS = SERVICE.methods_by_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
DETAILS = "grpc-status-details-bin"


@pytest.fixture
def channel() -> Any:
    return grpc_testing.channel((SERVICE, ADMIN, HEALTH), grpc_testing.strict_real_time())


@pytest.fixture
def client(channel: Any) -> ResolverClient:
    return ResolverClient("1.2.3.4:8401", "secret", 2.5, channel)


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., Future[Any]]]:
    """Calls in a thread, since a call waits until the test answers it: which it does before it asserts anything."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit


def details(code: grpc.StatusCode, text: str, *parts: message.Message) -> tuple[tuple[str, bytes], ...]:
    status = status_pb2.Status(code=code.value[0], message=text)
    for part in parts:
        packed = any_pb2.Any()
        packed.Pack(part)
        status.details.append(packed)
    return ((DETAILS, status.SerializeToString()),)


def test_a_call_shows_the_token_and_brings_the_answer(
    client: ResolverClient, channel: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    explaining = meanwhile(client.explain, pb.ResolveRequest(model="chat"))
    metadata, request, call = channel.take_unary_unary(METHODS["Explain"])
    call.terminate(pb.ExplainResponse(kind="cluster"), (), grpc.StatusCode.OK, "")
    assert request == pb.ExplainRequest(request=pb.ResolveRequest(model="chat"))
    assert ("authorization", "Bearer secret") in metadata
    assert explaining.result(5).kind == "cluster"


def test_without_a_token_none_is_shown(channel: Any, meanwhile: Callable[..., Future[Any]]) -> None:
    listing = meanwhile(ResolverClient("1.2.3.4:8401", "", 2.5, channel).models)
    metadata, _, call = channel.take_unary_unary(METHODS["ListModels"])
    call.terminate(pb.ListModelsResponse(revision=4), (), grpc.StatusCode.OK, "")
    assert "authorization" not in dict(metadata)
    assert listing.result(5).revision == 4


def test_health_is_told_in_the_protocols_words(
    client: ResolverClient, channel: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    checking = meanwhile(client.health, "readiness")
    _, request, call = channel.take_unary_unary(HEALTH.methods_by_name["Check"])
    status = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
    call.terminate(status, (), grpc.StatusCode.OK, "")
    assert request.service == "readiness"
    assert checking.result(5) == "NOT_SERVING"


INFO = error_details_pb2.ErrorInfo
HINT = error_details_pb2.ErrorInfo(reason="MODEL_NOT_FOUND", domain="forebay", metadata={"closest": "chat"})


@pytest.mark.parametrize(
    ("code", "text", "parts", "said"),
    [
        (grpc.StatusCode.NOT_FOUND, "no x; it is: chat", (HINT,), "no x; it is: chat"),
        (
            grpc.StatusCode.NOT_FOUND,
            "no x",
            (INFO(domain="forebay"),),
            "no x; 'forebay models' lists what can be called",
        ),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "all cool",
            (error_details_pb2.RetryInfo(), INFO(domain="forebay")),
            "all cool; 'forebay explain NAME' says why",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "all broken",
            (INFO(domain="forebay"),),
            "all broken; 'forebay explain NAME' says why",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "refused",
            (INFO(domain="somebody.else"),),
            "no resolver can be reached at 1.2.3.4:8401: start it with 'forebay-resolver --config FILE', "
            "or say where it is with --resolver or FOREBAY_RESOLVER",
        ),
        (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "late",
            (),
            "1.2.3.4:8401 did not answer within 2.5 s: allow more with --timeout",
        ),
        (
            grpc.StatusCode.UNIMPLEMENTED,
            "404",
            (),
            "what answers at 1.2.3.4:8401 is no resolver of this version (404): check --resolver",
        ),
        (grpc.StatusCode.UNAUTHENTICATED, "set FOREBAY_TOKEN", (), "set FOREBAY_TOKEN"),
        (grpc.StatusCode.INVALID_ARGUMENT, "model: required", (), "model: required"),
        (grpc.StatusCode.INTERNAL, "it\nfailed", (), "1.2.3.4:8401 answered INTERNAL: it failed"),
    ],
)
def test_every_status_becomes_a_sentence_on_one_line(
    client: ResolverClient,
    channel: Any,
    meanwhile: Callable[..., Future[Any]],
    code: grpc.StatusCode,
    text: str,
    parts: tuple[message.Message, ...],
    said: str,
) -> None:
    resolving = meanwhile(client.resolve, pb.ResolveRequest(model="x"))
    *_, call = channel.take_unary_unary(METHODS["Resolve"])
    call.terminate(None, details(code, text, *parts) if parts else (), code, text)
    with pytest.raises(CallError) as caught:
        resolving.result(5)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "late",
            "1.2.3.4:8401 did not answer within 2.5 s; "
            "the change may have been made all the same: look before you repeat it",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "Stream removed (recvmsg:Connection reset by peer (104))",
            "1.2.3.4:8401 went away before it answered; "
            "the change may have been made all the same: look before you repeat it",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses",
            "no resolver can be reached at 1.2.3.4:8401: start it with 'forebay-resolver --config FILE', "
            "or say where it is with --resolver or FOREBAY_RESOLVER",
        ),
    ],
)
def test_a_change_whose_answer_got_lost_may_have_been_made(
    client: ResolverClient,
    channel: Any,
    meanwhile: Callable[..., Future[Any]],
    code: grpc.StatusCode,
    text: str,
    said: str,
) -> None:
    draining = meanwhile(lambda: client.drain("a/b#0", "boss", drained=True))
    *_, call = channel.take_unary_unary(ADMIN.methods_by_name["Drain"])
    call.terminate(None, (), code, text)
    with pytest.raises(CallError) as caught:
        draining.result(5)
    assert str(caught.value) == said


CHANGES: dict[str, tuple[Callable[[ResolverClient], Any], message.Message, message.Message]] = {
    "ClearCooldown": (
        lambda client: client.clear("a/b#0", "boss"),
        admin_pb.ClearCooldownRequest(target_id="a/b#0"),
        admin_pb.ClearCooldownResponse(),
    ),
    "Drain": (
        lambda client: client.drain("a/b#0", "boss", drained=True),
        admin_pb.DrainRequest(target_id="a/b#0", drained=True),
        admin_pb.DrainResponse(),
    ),
    "Rollback": (
        lambda client: client.roll_back(3, "me", "boss"),
        admin_pb.RollbackRequest(revision=3, author="me"),
        admin_pb.RollbackResponse(revision=5),
    ),
    "ApplyConfiguration": (
        lambda client: client.apply(b"text", "me", "boss", validate_only=True),
        admin_pb.ApplyConfigurationRequest(text=b"text", author="me", validate_only=True),
        admin_pb.ApplyConfigurationResponse(revision=5),
    ),
}


@pytest.mark.parametrize("method", CHANGES)
def test_a_change_says_all_of_what_it_is_and_who_demands_it(
    client: ResolverClient, channel: Any, meanwhile: Callable[..., Future[Any]], method: str
) -> None:
    make, wanted, response = CHANGES[method]
    changing = meanwhile(make, client)
    metadata, request, call = channel.take_unary_unary(ADMIN.methods_by_name[method])
    call.terminate(response, (), grpc.StatusCode.OK, "")
    assert request == wanted
    assert ("x-management-key", "boss") in metadata
    changing.result(5)


def test_what_is_only_checked_has_changed_nothing_whatever_becomes_of_the_answer(
    client: ResolverClient, channel: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    checking = meanwhile(CHANGES["ApplyConfiguration"][0], client)
    *_, call = channel.take_unary_unary(ADMIN.methods_by_name["ApplyConfiguration"])
    call.terminate(None, (), grpc.StatusCode.DEADLINE_EXCEEDED, "late")
    with pytest.raises(CallError, match="allow more with --timeout"):
        checking.result(5)


def test_with_a_clients_key_nothing_is_shown_but_what_the_client_sees(
    channel: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    client = ResolverClient("1.2.3.4:8401", "", 2.5, channel, client_key_sha256=b"hash")
    explaining = meanwhile(client.explain, pb.ResolveRequest(model="chat"), "boss")
    _, request, call = channel.take_unary_unary(METHODS["Explain"])
    info = error_details_pb2.ErrorInfo(reason="CLIENT_KEY_UNKNOWN", domain="forebay")
    code = grpc.StatusCode.UNAUTHENTICATED
    call.terminate(None, details(code, "unknown", info), code, "unknown")
    assert request.request.client_key_sha256 == b"hash"
    with pytest.raises(ClientKeyNeededError):
        explaining.result(5)


def test_details_that_contradict_their_status_are_not_the_resolvers(
    client: ResolverClient, channel: Any, meanwhile: Callable[..., Future[Any]]
) -> None:
    resolving = meanwhile(client.resolve, pb.ResolveRequest(model="x"))
    *_, call = channel.take_unary_unary(METHODS["Resolve"])
    lie = details(grpc.StatusCode.NOT_FOUND, "other", HINT)
    call.terminate(None, lie, grpc.StatusCode.ABORTED, "text")
    with pytest.raises(CallError, match=r"^1\.2\.3\.4:8401 answered ABORTED: text$"):
        resolving.result(5)


@pytest.mark.parametrize("management_key", ["", "boss"])
def test_an_operator_without_a_clients_key_is_told_everything(
    channel: Any, meanwhile: Callable[..., Future[Any]], management_key: str
) -> None:
    client = ResolverClient("1.2.3.4:8401", "", 2.5, channel)
    explaining = meanwhile(client.explain, pb.ResolveRequest(model="chat"), management_key)
    _, _, call = channel.take_unary_unary(METHODS["Explain"])
    info = error_details_pb2.ErrorInfo(reason="CLIENT_KEY_MISSING", domain="forebay")
    code = grpc.StatusCode.UNAUTHENTICATED
    call.terminate(None, details(code, "an API key is required", info), code, "an API key is required")
    if not management_key:
        with pytest.raises(ClientKeyNeededError, match="set FOREBAY_CLIENT_KEY"):
            explaining.result(5)
        return
    metadata, request, call = channel.take_unary_unary(ADMIN.methods_by_name["ExplainName"])
    found = admin_pb.ExplainNameResponse(explanation=pb.ExplainResponse(kind="cluster"))
    call.terminate(found, (), grpc.StatusCode.OK, "")
    assert request.explain.request.model == "chat"
    assert ("x-management-key", "boss") in metadata
    assert explaining.result(5).kind == "cluster"


def test_a_clients_key_is_shown_as_a_hash(channel: Any, meanwhile: Callable[..., Future[Any]]) -> None:
    client = ResolverClient("1.2.3.4:8401", "", 2.5, channel, client_key_sha256=b"hash")
    for method, call_it, response in (
        ("Resolve", lambda: client.resolve(pb.ResolveRequest(model="chat")), pb.ResolveResponse()),
        ("ListModels", client.models, pb.ListModelsResponse()),
    ):
        calling = meanwhile(call_it)
        _, request, call = channel.take_unary_unary(METHODS[method])
        call.terminate(response, (), grpc.StatusCode.OK, "")
        assert request.client_key_sha256 == b"hash"
        assert calling.result(5) == response
