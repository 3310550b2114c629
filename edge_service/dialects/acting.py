"""Which requests act on the provider, beyond being answered: with tools that the provider runs, or in the background.
If they moved on after silence, that might be done twice.

This is asked only when an attempt has fallen silent. A request that cannot be read has been refused by then, or the
provider refuses it.

Sources: https://platform.openai.com/docs/guides/tools, https://platform.openai.com/docs/guides/background,
https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview, https://ai.google.dev/gemini-api/docs/tools
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from edge_service.dialects import surrogates

_T = TypeVar("_T")


class _Tool(Struct):
    type: Any = None


class _Chat(Struct):
    web_search_options: Any = None


class _Response(Struct):
    background: Any = None
    tools: list[_Tool] | None = None


class _Messages(Struct):
    mcp_servers: Any = None
    tools: list[_Tool] | None = None


class _Contents(Struct):
    tools: list[dict[str, Any]] | None = None


_chat = msgspec.json.Decoder(_Chat)
_response = msgspec.json.Decoder(_Response)
_messages = msgspec.json.Decoder(_Messages)
_contents = msgspec.json.Decoder(_Contents)

_RUN_BY_OPENAIS_CLIENTS = frozenset({"function", "custom", "namespace", "tool_search"})
"""And what is only looked up among them."""
_RUN_BY_ANTHROPICS_CLIENTS = ("custom", "bash_", "text_editor_", "computer_", "memory_")
"""What such types begin with: most end in a date."""
_RUN_BY_GOOGLES_CLIENTS = frozenset({"functionDeclarations", "function_declarations", "computerUse", "computer_use"})


def in_chat(body: bytes) -> bool:
    """Whether a chat completion acts on the provider."""
    request = _read(_chat, body)
    return request is not None and request.web_search_options is not None


def in_response(body: bytes) -> bool:
    """The same of a request to the Responses API. What is done in the background goes on even if nobody waits for
    it."""
    request = _read(_response, body)
    if request is None:
        return False
    return request.background is True or any(tool.type not in _RUN_BY_OPENAIS_CLIENTS for tool in request.tools or ())


def in_messages(body: bytes) -> bool:
    """The same of a request to Anthropic's Messages API."""
    request = _read(_messages, body)
    return request is not None and (bool(request.mcp_servers) or any(map(_is_run_by_anthropic, request.tools or ())))


def in_contents(body: bytes) -> bool:
    """The same of a request to Gemini."""
    request = _read(_contents, body)
    return request is not None and any(map(_is_run_by_google, request.tools or ()))


def _is_run_by_anthropic(tool: _Tool) -> bool:
    return tool.type is not None and not str(tool.type).startswith(_RUN_BY_ANTHROPICS_CLIENTS)


def _is_run_by_google(tool: Mapping[str, Any]) -> bool:
    return any(name not in _RUN_BY_GOOGLES_CLIENTS and said is not None for name, said in tool.items())


def _read(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T | None:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        return None
    except (ValueError, RecursionError):
        hidden = surrogates.hide(body)
        return None if hidden is None else _read(decoder, hidden.data)
