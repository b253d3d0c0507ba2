"""Completes the OpenAPI description: examples, and the problems that each endpoint may return.

https://spec.openapis.org/oas/v3.1.0 · problems: https://www.rfc-editor.org/rfc/rfc9457
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from routers import examples
from routers.schemas import Problem

_PROBLEM_TYPE = "application/problem+json"
_PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "application/json": {},  # FastAPI has made it
    "application/zip": {"schema": {"type": "string", "format": "binary", "contentMediaType": "application/zip"}},
    "audio/wav": {"schema": {"type": "string", "format": "binary", "contentMediaType": "audio/wav"}},
}
"""Other media types are text."""
_METHODS = ("get", "post", "put", "delete")
_NEEDS_NO_STORAGE = {"check_live", "get_metrics", "open_session", "close_session", "list_agents", "get_agent"}


def operation_id(route: APIRoute) -> str:
    """The name of the function. Generated clients use it for their methods."""
    return route.name


def describe(app: FastAPI) -> None:
    """Complete the description that FastAPI generates, once, on first use."""
    made_from_code = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made_from_code()
            schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(unused, None)
            for path, operations in schema["paths"].items():
                for method in operations.keys() & set(_METHODS):
                    _complete(operations[method], method, path)
        return app.openapi_schema or {}

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    name = operation["operationId"]
    if name in examples.BODIES:
        operation["requestBody"]["content"]["application/json"]["example"] = examples.BODIES[name]
    responses = operation["responses"]
    for status, media_type, example in examples.ANSWERS.get(name, ()):
        answer = responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
        if media_type is not None:
            schema = _SCHEMAS.get(media_type, {"schema": {"type": "string"}})
            answer.setdefault("content", {}).setdefault(media_type, dict(schema))["example"] = example
    for status in sorted(set(_problems(operation, method, path))):
        responses[str(status.value)] = {
            "description": status.phrase,
            "content": {_PROBLEM_TYPE: {"schema": _PROBLEM_SCHEMA, "example": examples.problem(status)}},
        }


def _problems(operation: dict[str, Any], method: str, path: str) -> Iterator[HTTPStatus]:
    """The problems that an operation may return, derived from its parameters and path."""
    name = operation["operationId"]
    if operation.get("security") or name in ("open_session", "get_health"):
        yield from (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
    if method != "get":
        yield HTTPStatus.FORBIDDEN
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if operation.get("parameters") or operation.get("requestBody"):
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    if operation.get("requestBody"):
        yield from (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if name in examples.CONFLICTS:
        yield HTTPStatus.CONFLICT
    if name not in _NEEDS_NO_STORAGE:
        yield HTTPStatus.SERVICE_UNAVAILABLE
