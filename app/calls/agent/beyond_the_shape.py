"""What can be wrong with an agent's file beyond its keys and types: names twice or nowhere, wrong JSON schemas."""

from collections.abc import Collection, Iterator
from typing import Any

from app.calls.agent.mcp import may_offer
from app.calls.agent.outcome import CONFIRM
from app.calls.agent.tool_values import split_address
from app.clients.http_tools import fixed_name, fixed_names, url_problem
from app.clients.mcp_tools import mcp_problem

_REFERENCES = ("$ref", "$dynamicRef")


def beyond_the_shape(data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Problems that the types cannot express, each with its place: duplicate names, invalid JSON schemas."""
    tools = data.get("tools") if isinstance(data, dict) else None
    names: set[str] = set()
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if not isinstance(tool, dict):
            continue
        name = tool.get("name")
        if isinstance(name, str) and name in names:
            yield ("tools", index, "name"), f"{name} is also the name of an earlier tool"
        names.add(str(name))
        for key, problem in _collisions(tool):
            yield ("tools", index, *key), problem
        for place, problem in _schema_problems(tool.get("parameters", {})):
            yield ("tools", index, "parameters", *place), problem
    if isinstance(data, dict):
        yield from _beyond_the_parts(data, names)


def _beyond_the_parts(data: dict[Any, Any], tools: set[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The same for everything but the tools, whose names are given."""
    outcome = data.get("outcome")
    fields = outcome.get("fields") if isinstance(outcome, dict) else None
    for name, schema in fields.items() if isinstance(fields, dict) else ():
        bare = {key: value for key, value in schema.items() if key != CONFIRM} if isinstance(schema, dict) else schema
        for place, problem in _schema_problems(bare):
            yield ("outcome", "fields", name, *place), problem
    keypad, servers = data.get("keypad"), data.get("mcp_servers")
    for key, meaning in keypad.items() if isinstance(keypad, dict) else ():
        if isinstance(meaning, dict):
            found = _key_problems(meaning, tools, servers if isinstance(servers, list) else [])
            yield from ((("keypad", str(key), *place), problem) for place, problem in found)
    yield from ((("knowledge", index), "is there twice") for index in _repeated(data.get("knowledge")))
    yield from _server_problems(servers)
    webhooks = data.get("webhooks")
    listed = webhooks if isinstance(webhooks, list) else []
    addresses = [webhook.get("url") if isinstance(webhook, dict) else None for webhook in listed]
    earlier = "is also the address of an earlier webhook"
    yield from ((("webhooks", index, "url"), earlier) for index in _repeated(addresses))


def _server_problems(servers: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not servers or not isinstance(servers, list):
        return
    names = [server.get("name") if isinstance(server, dict) else None for server in servers]
    yield from ((("mcp_servers", index, "name"), "is also the name of an earlier server") for index in _repeated(names))
    if problem := mcp_problem():
        yield ("mcp_servers",), problem


def _repeated(values: Any) -> list[int]:
    """Where a text of a list stands that stands before it, too."""
    listed = values if isinstance(values, list) else []
    return [index for index, value in enumerate(listed) if isinstance(value, str) and value in listed[:index]]


def _key_problems(
    meaning: dict[str, Any], tools: set[str], servers: Collection[Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """A key does one thing, with a tool that there is or may be. Its menu needs a name for all but a transfer."""
    does = [name for name in ("say", "tool", "transfer") if meaning.get(name)]
    if len(does) != 1:
        yield (), "needs one of say, tool and transfer"
    elif does != ["transfer"] and not meaning.get("label"):
        yield (), "needs a label, which tells the caller what the key does"
    tool = meaning.get("tool")
    if isinstance(tool, str) and tool not in tools and not _may_be_listed(tool, servers):
        of_servers = ", or one of a server of mcp_servers with the server's name before it" if servers else ""
        yield ("tool",), f"there is no tool {tool}; name one of tools{of_servers}"
    if meaning.get("arguments") and not meaning.get("tool"):
        yield ("arguments",), "are for a tool"


def _may_be_listed(tool: str, servers: Collection[Any]) -> bool:
    """Whether one of these servers may offer that tool: its list is read later than the file."""
    for server in servers:
        name, allowed = (server.get("name"), server.get("tools")) if isinstance(server, dict) else (None, None)
        if isinstance(name, str) and may_offer(name, allowed if isinstance(allowed, list) else None, tool):
            return True
    return False


def _collisions(tool: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Names that a tool has twice. Headers are the same whatever the case of their letters."""
    headers, arguments, parameters = tool.get("headers"), tool.get("arguments"), tool.get("parameters")
    in_address = _names_in_address(tool.get("url"))
    names = [name for name in headers if isinstance(name, str)] if isinstance(headers, dict) else []
    in_headers = {name.casefold() for name in names}
    for number, name in enumerate(names):
        if name.casefold() in {before.casefold() for before in names[:number]}:
            yield ("headers", name), "is the name of a header before it"
    fixed = {fixed_name(str(name)): str(name) for name in (arguments if isinstance(arguments, dict) else ())}
    for name in fixed.keys() & in_address:
        yield ("arguments", fixed[name]), "is fixed in the tool's address, too"
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    for name in map(str, properties if isinstance(properties, dict) else ()):
        places = {"address": fixed_name(name) in in_address, "headers": name.casefold() in in_headers}
        for place, is_there in {**places, "arguments": fixed_name(name) in fixed}.items():
            if is_there:
                yield ("parameters", "properties", name), f"is fixed in the tool's {place}; rename the argument"
                break


def _names_in_address(url: Any) -> frozenset[str]:
    try:
        address, templates = split_address(url) if isinstance(url, str) else ("", ())
    except ValueError:
        return frozenset()
    known = frozenset() if url_problem(address) else fixed_names(address)
    return known | {fixed_name(name) for name, _ in templates}


def _schema_problems(schema: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not isinstance(schema, dict):
        return
    # Slow to import: only agents with tools pay for it, at the start. During a call it would make the audio stutter.
    from jsonschema import Draft202012Validator

    # The format checker finds invalid regular expressions now rather than during a call.
    formats = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=formats)
    for error in validator.iter_errors(schema):
        yield tuple(error.absolute_path), "is no JSON schema here: see https://json-schema.org"
    for place in _references(schema, ()):
        yield place, "is not followed; write it out"


def _references(part: Any, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(part, dict):
        yield from ((*place, name) for name in _REFERENCES if isinstance(part.get(name), str))
        for key, value in part.items():
            yield from _references(value, (*place, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _references(value, (*place, index))
