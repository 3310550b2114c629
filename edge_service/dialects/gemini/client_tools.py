"""A client's `tools` and `toolConfig`.

Source: https://ai.google.dev/api/caching#Tool
"""

from __future__ import annotations

from edge_service.dialects.canonical import Choosing, Tool, ToolChoice
from edge_service.dialects.gemini import words
from edge_service.dialects.gemini.fields import Fields, wrong
from edge_service.dialects.gemini.schemas import json_schema
from edge_service.dialects.values import first_byte


def tools(fields: list[Fields]) -> tuple[tuple[Tool, ...], list[str], list[str]]:
    """The functions; and the paths of what is unsaid, and of what is bound: tools that Google runs."""
    read: list[Tool] = []
    unsaid: list[str] = []
    bound: list[str] = []
    for tool in fields:
        for declaration in tool.objects("functionDeclarations"):
            read.append(_tool(declaration))
            unsaid += declaration.left()
        bound += tool.left()
    if read:
        unsaid += [path for path in bound if path.endswith(_LOOK_UP)]
        bound = [path for path in bound if not path.endswith(_LOOK_UP)]
    return tuple(read), unsaid, bound


_LOOK_UP = (".googleSearch", ".googleSearchRetrieval", ".urlContext")
"""Tools by which Google looks something up: a model can do without them if it is offered others."""


def _tool(declaration: Fields) -> Tool:
    name, description = declaration.needed("name"), declaration.text("description")
    schema = declaration.raw("parametersJsonSchema")
    parameters = declaration.raw("parameters")
    if schema is not None:
        if first_byte(schema) != b"{":
            raise wrong(declaration.at("parametersJsonSchema"), "an object")
    elif parameters is not None:
        schema = json_schema(parameters, declaration.at("parameters"))
    return Tool(name, description, schema)


def choice(config: Fields | None) -> tuple[ToolChoice | None, list[str]]:
    """The tool choice, and the paths of the fields that are left out."""
    if config is None:
        return None, []
    calling = config.object("functionCallingConfig")
    if calling is None:
        return None, list(config.left())
    word = calling.word("mode")
    names = calling.texts("allowedFunctionNames")
    mode = words.CHOOSING.get(word)
    if mode is None:
        raise wrong(calling.at("mode"), f"one of {', '.join(filter(None, words.CHOOSING))}")
    unsaid = [*config.left(), *calling.left()]
    if word == "VALIDATED" and not names:
        unsaid.append(calling.at("mode"))
    if mode is Choosing.REQUIRED and len(names) == 1:
        mode = Choosing.NAMED
    return ToolChoice(mode, names), unsaid
