"""JSON Schemas of what the management API takes and answers.

What each option means stands in config.example.yaml; which combinations make sense, the resolver alone knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from edge_service.dialects.canonical import Effort
from edge_service.domain.needs import OF_A_MODEL, Capability
from edge_service.domain.outcome import Disposition

Schema = Mapping[str, Any]


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: tuple[str, ...] = (), /, **properties: Schema) -> dict[str, Any]:
    fields = {name.replace("_", "-"): schema for name, schema in properties.items()}
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": fields}
    return {**schema, "required": list(required)} if required else schema


def _answer(**properties: Schema) -> dict[str, Any]:
    """An object with all of its fields."""
    schema = _object(**properties)
    return {**schema, "required": list(schema["properties"])}


def _list(items: Schema, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def _words(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def _whole(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


def _or_null(schema: Schema) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_NAME = {"type": "string", "minLength": 1, "pattern": r"\S"}
_SECONDS = {"type": "number", "minimum": 0}
_TOKENS = _whole(1, 1_000_000_000)
_DURATION = {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,12})?(ms|s|m|h)$", "examples": ["250ms", "90s"]}
_FAILURE = _words(*(d for d in Disposition if d not in (Disposition.OK, Disposition.CANCELLED)))
_CAPABILITIES = _list(_words(*Capability))
_STRATEGY = _words("round-robin", "priority")
_FIELD_NAME = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"}
_PARAMS = {"type": "object", "propertyNames": _FIELD_NAME}
_TERMS = {
    "priority": _whole(-1_000_000_000, 1_000_000_000),
    "weight": _whole(0, 100),
    "disabled": _FLAG,
    "policy": ref("Policy"),
    "params": _object(set=_PARAMS, default=_PARAMS, drop=_list(_FIELD_NAME)),
}


def _group(member: str) -> dict[str, Any]:
    members = _list(ref(member), minItems=1)
    return _object(
        ("id", "members"),
        id=_NAME,
        description=_TEXT,
        strategy=_STRATEGY,
        members=members,
        policy=ref("Policy"),
    )


_NAMED_POOL = _group("PoolMember")
_TARGET = {
    "id": _TEXT,
    "reason": _TEXT,
    "retry_after_s": {**_or_null(_SECONDS), "description": "until it may be tried again; null where no time is known"},
}

SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        "ModelPools": _object(
            enabled=_FLAG,
            default_strategy=_STRATEGY,
            pools=_list(ref("Pool")),
            clusters=_list(ref("Cluster")),
        ),
        "Pool": {**_NAMED_POOL, "required": ["members"], "description": "without an id: its first member's model"},
        "NamedPool": _NAMED_POOL,
        "PoolMember": _object(("model",), provider=_NAME, model=_NAME, **_TERMS),
        "Cluster": _group("ClusterMember"),
        "ClusterMember": {
            **_object(pool=_NAME, model=_NAME, **_TERMS),
            "oneOf": [{"required": ["pool"]}, {"required": ["model"]}],
        },
        "Policy": _object(
            attempts=_whole(1, 100),
            on_exhausted=_words("reject", "least-bad"),
            timeouts=_object(
                connect=_DURATION,
                headers=_DURATION,
                first_content=_DURATION,
                idle=_DURATION,
                total=_DURATION,
                stream=_DURATION,
            ),
            failover=_object(never=_list(_FAILURE), also=_list(_FAILURE)),
        ),
        "Providers": _list(ref("Provider")),
        "Provider": _object(
            ("id",),
            id=_NAME,
            preset=_NAME,
            dialect=_words("openai", "anthropic", "gemini"),
            base_url={"type": "string", "pattern": "^https?://"},
            credentials=_list({"anyOf": [ref("Reference"), _object(("ref",), ref=ref("Reference"), disabled=_FLAG)]}),
            models=_list({"anyOf": [_NAME, ref("Model")]}),
            responses=_FLAG,
            quirks=ref("Quirks"),
            allow_private=_FLAG,
            disabled=_FLAG,
            policy=ref("Policy"),
            max_concurrent=_whole(1, 100_000),
            rules=_list(ref("Rule"), maxItems=20),
        ),
        "Reference": {
            "type": "string",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$",
            "description": "to a secret, which itself is never read or written here",
        },
        "Model": _object(("id",), id=_NAME, context=_TOKENS, max_output=_TOKENS, capabilities=_CAPABILITIES),
        "Quirks": _object(
            max_tokens_field=_words("max_tokens", "max_completion_tokens"),
            system_role=_words("system", "developer"),
            drop=_list(_FIELD_NAME, maxItems=50),
            rename={**_PARAMS, "maxProperties": 16, "additionalProperties": _FIELD_NAME},
            takes=_list(_TEXT, uniqueItems=True),
            lacks=_list(_TEXT, uniqueItems=True),
            efforts=_list(_words(*Effort), uniqueItems=True),
            effort_field=_words("reasoning_effort", "reasoning.effort"),
            thoughts=_list(_words("reasoning_content", "reasoning", "reasoning_details"), uniqueItems=True),
            max_stops=_whole(1, 1000),
            call_id_chars=_whole(0, 40),
            auth_header=_words("bearer", "x-api-key", "x-goog-api-key", "api-key"),
            headers={"type": "object", "maxProperties": 16, "additionalProperties": _TEXT},
            api_version=_TEXT,
        ),
        "Rule": {
            **_object(
                ("disposition",),
                status=_whole(200, 599),
                body_contains={"type": "string", "minLength": 1, "maxLength": 200},
                disposition=_FAILURE,
            ),
            "anyOf": [{"required": ["status"]}, {"required": ["body-contains"]}],
        },
        "Done": _answer(status={"const": "ok"}),
        "RolledBack": _answer(status={"const": "ok"}, revision=_COUNT),
        "Revisions": _answer(
            revisions=_list(
                _answer(
                    revision=_COUNT,
                    created_at={"type": "string", "format": "date-time"},
                    author=_TEXT,
                    summary=_TEXT,
                    diff=_TEXT,
                )
            ),
            next_before={**_or_null(_COUNT), "description": "`before` of the next page; null if there is none"},
        ),
        "Status": _answer(
            revision=_COUNT,
            targets=_list(
                _answer(
                    **_TARGET,
                    state=_words("ready", "cooling", "probing", "drained", "disabled"),
                    in_flight=_COUNT,
                    recent={
                        "type": "object",
                        "additionalProperties": _COUNT,
                        "description": "attempts of the last five minutes by what became of them",
                    },
                )
            ),
            targets_left_out=_COUNT,
            replicas=_list(_answer(id=_TEXT, revision=_COUNT, seen_s_ago=_SECONDS, degraded=_FLAG)),
        ),
        "Question": _object(
            ("model",),
            model=_NAME,
            operation=_words(*OF_A_MODEL),
            stream=_FLAG,
            capabilities=_CAPABILITIES,
            estimated_input_tokens=_whole(0, 2**32 - 1),
            max_output_tokens=_whole(0, 2**32 - 1),
            excluded_targets=_list(_TEXT),
        ),
        "Explanation": _answer(
            kind=_words("cluster", "pool", "model"),
            plan=_or_null(_answer(name=_TEXT, revision=_COUNT, attempts_allowed=_COUNT, targets=_list(_TEXT))),
            targets=_list(_answer(**_TARGET, path=_TEXT, available=_FLAG)),
        ),
        "Document": {"type": "object"},
        "Error": _answer(error=_TEXT),
        "InvalidConfiguration": {
            **_object(("error",), error=_TEXT, errors=_list(_answer(path=_TEXT, message=_TEXT))),
            "description": "`errors` names all that is wrong with a configuration, each with its path",
        },
    }
)
