"""The OpenAPI document of the management API, in version 3.1: https://spec.openapis.org/oas/v3.1.1"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import msgspec

from edge_service.adapters.http.management_operations import PAGE_SIZE, Operation
from edge_service.adapters.http.management_requests import MAX_AUTHOR
from edge_service.adapters.http.openapi_schemas import SCHEMAS, ref
from edge_service.adapters.http.refusals import MANAGEMENT
from edge_service.domain.management import MAX_PAGE_SIZE, MAX_REVISION

DOCUMENT_PATH = "/openapi.json"

_NUMBER = {"type": "integer", "minimum": 1, "maximum": MAX_REVISION}

_PARAMETERS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "id": {"in": "query", "schema": {"type": "string", "minLength": 1, "pattern": r"\S"}},
        "validate-only": {
            "in": "query",
            "schema": {"type": "boolean", "default": False},
            "description": "says whether the change could be made, and makes none",
        },
        "page-size": {
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
        },
        "before": {"in": "query", "schema": _NUMBER, "description": "only revisions before this one"},
        "If-Match": {
            "in": "header",
            "schema": {"type": "string"},
            "description": "the ETag of the configuration that the change starts from, a list of them, or *: 412 if it "
            "is none of these any more",
        },
        "X-Forebay-Author": {
            "in": "header",
            "schema": {"type": "string", "maxLength": MAX_AUTHOR, "pattern": "^[ -~]*$"},
            "description": "who makes the change, for the list of revisions",
        },
    }
)
_IN_PATH: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "n": {"in": "path", "required": True, "schema": _NUMBER},
        "id": {
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "description": "a target's id, such as `openai/gpt-4.1#0`; '#' is written %23, and '/' as it is or %2F",
        },
    }
)
_SAID: Mapping[int, str] = MappingProxyType(
    {
        200: "done",
        400: "the request is malformed, or the configuration would be invalid",
        401: "the management key is missing or wrong",
        403: "the resolver lets nobody change providers",
        404: "what is named does not exist; or there is no management API, since the resolver has no key for it",
        409: "something still uses it, or the configuration cannot be written",
        412: "the configuration has changed since",
        413: "the body is too large",
        429: "too many wrong keys from this address",
        503: "the resolver cannot be reached, or did not answer: the error says whether the change may have been made",
    }
)


def document(operations: Iterable[Operation]) -> bytes:
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(f"{MANAGEMENT}{operation.path}", {})[operation.method.lower()] = _described(operation)
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Management-Key"},
    }
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Forebay's management API", "version": version("forebay")},
            "security": [{name: []} for name in schemes],
            "paths": paths,
            "components": {"schemas": dict(SCHEMAS), "securitySchemes": schemes},
        }
    )


def _described(operation: Operation) -> dict[str, Any]:
    names = (*sorted(operation.parameters), *(("If-Match", "X-Forebay-Author") if operation.is_change else ()))
    parameters = [{"name": name, **_IN_PATH[name]} for name in re.findall(r"\{(\w+)\}", operation.path)]
    parameters += [
        {"name": name, **_PARAMETERS[name], **({"required": True} if name == operation.needs else {})} for name in names
    ]
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {str(status): _response(operation, status) for status in sorted(operation.statuses)},
    }
    if operation.body:
        described["requestBody"] = {"required": True, "content": _json(operation.body)}
    return described


def _response(operation: Operation, status: int) -> dict[str, Any]:
    schema = operation.answer if status == 200 else "InvalidConfiguration" if status == 400 else "Error"
    return {"description": _SAID[status], "content": _json(schema)}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": ref(schema)}}
