"""The management API, `/v0/management/...`.

The resolver verifies the management key before the query or the body of a request is looked at. Without the key nobody
learns anything, not even which methods a path has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import structlog
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http import management_requests as requests
from edge_service.adapters.http.asgi import AsgiClient, ClientGoneError
from edge_service.adapters.http.management_operations import OPERATIONS, Answer, Operation
from edge_service.adapters.http.openapi import DOCUMENT_PATH, document
from edge_service.adapters.http.refusals import MANAGEMENT, management_body
from edge_service.app.ports import Management
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, PayloadTooLargeError
from edge_service.domain.headers import Headers
from edge_service.domain.management import KeyRefusedError, NotServedError, TooManyFailedKeysError
from edge_service.domain.preconditions import entity_tag

_log = structlog.get_logger("forebay.edge.management")


def management_routes(management: Management, tell: Callable[[str], None]) -> list[Route]:
    """`tell` is called with the code of a refusal because of too many wrong keys."""

    async def described(_: Management, asked: requests.Asked) -> Answer:
        await management.authenticate(asked.caller)
        return Answer(content)

    own = Operation("GET", DOCUMENT_PATH, "This document.", described, "Document")
    content = document((*OPERATIONS, own))
    at: defaultdict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in (*OPERATIONS, own):
        at[operation.path][operation.method] = operation
    # `:path`, since a target's id has slashes in it. No `methods`: Starlette would tell them to whoever has no key.
    return [
        Route(f"{MANAGEMENT}{path.replace('{id}', '{id:path}')}", Resource(management, tell, operations))
        for path, operations in at.items()
    ]


class MethodNotAllowedError(ApiError):
    status = 405
    code = "method_not_allowed"


class Resource:
    """One path, with its operations by method."""

    def __init__(
        self, management: Management, tell: Callable[[str], None], operations: Mapping[str, Operation]
    ) -> None:
        self.operations = operations
        self._management = management
        self._tell = tell
        methods = {*operations, "OPTIONS", *(("HEAD",) if "GET" in operations else ())}
        self._allow = (b"allow", ", ".join(sorted(methods)).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = AsgiClient(send)
        request_id = headers.request_id(headers.first(scope["headers"], headers.REQUEST_ID))
        own: Headers = [(headers.REQUEST_ID, request_id.encode()), (b"cache-control", b"no-store")]
        try:
            if scope["method"] == "OPTIONS":
                await self._management.authenticate(requests.caller(scope))
                await client.respond(200, [*own, self._allow], b"")
                return
            answer = await self._serve(scope, receive)
        except ClientGoneError:
            return
        except NotServedError:
            raise HTTPException(404) from None  # The same answer as for any path without a route.
        except ApiError as error:
            if isinstance(error, TooManyFailedKeysError):
                self._tell(error.code)
            _log_answer(scope, request_id, error)
            await client.respond(error.status, [*error.headers, *own, *self._also(error)], management_body(error))
            return
        _log_answer(scope, request_id, None)
        tag = [(b"etag", entity_tag(answer.etag))] if answer.etag else []
        await client.respond(200, [(b"content-type", b"application/json"), *own, *tag], answer.content)

    async def _serve(self, scope: Scope, receive: Receive) -> Answer:
        method, caller = scope["method"], requests.caller(scope)
        operation = self.operations.get("GET" if method == "HEAD" else method)
        if operation is None or operation.method != "GET" or scope["query_string"]:
            await self._management.authenticate(caller)
        if operation is None:
            raise MethodNotAllowedError("Method Not Allowed")
        body, said = await requests.read_json(scope, receive) if operation.body else (b"", None)
        asked = requests.read(scope, caller, operation.parameters, is_change=operation.is_change, body=body, said=said)
        # A GET without a query needs no call for the key alone: the one that it makes has it verified.
        return await operation.serve(self._management, asked)

    def _also(self, error: ApiError) -> Headers:
        match error:
            case KeyRefusedError():
                return [(b"www-authenticate", b"Bearer")]
            case MethodNotAllowedError():
                return [self._allow]
            case PayloadTooLargeError():
                return [(b"connection", b"close")]  # What is left of the body stays unread.
        return []


def _log_answer(scope: Scope, request_id: str, error: ApiError | None) -> None:
    if isinstance(error, (KeyRefusedError, TooManyFailedKeysError)):
        _log.warning("management_refused", request_id=request_id, code=error.code, client=requests.caller(scope).host)
    elif scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        status = 200 if error is None else error.status
        _log.info("management", request_id=request_id, method=scope["method"], path=scope["path"], status=status)
