"""Errors as RFC 9457 problem documents."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocketState

from app import errors

_STATUS: dict[type[Exception], HTTPStatus] = {
    errors.CallNotFound: HTTPStatus.NOT_FOUND,
    errors.NumberNotListed: HTTPStatus.NOT_FOUND,
    errors.CallStateError: HTTPStatus.CONFLICT,
    errors.AtCapacity: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Draining: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ServicePaused: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OutboundStopped: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.KeyNotAllowed: HTTPStatus.FORBIDDEN,
    errors.CallRejected: HTTPStatus.FORBIDDEN,
    errors.TransferNotAllowed: HTTPStatus.FORBIDDEN,
    errors.DialLimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    errors.SpendingLimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    errors.SimulatedCallLimit: HTTPStatus.TOO_MANY_REQUESTS,
    errors.SimulatedCallFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DestinationNotAllowed: HTTPStatus.FORBIDDEN,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.WebhookInvalid: HTTPStatus.UNAUTHORIZED,
    errors.TokenInvalid: HTTPStatus.FORBIDDEN,
    errors.TokenUsed: HTTPStatus.CONFLICT,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.StorageError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_TRY_AGAIN_SECONDS = 5
_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_json",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "range_not_satisfiable",
}
"""Fixed codes for refusals of the framework, where the phrase of the status differs between versions of Python."""


def problem(
    status: HTTPStatus, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem document. ``code`` is stable and for programs, ``detail`` is for people."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "code": code, "detail": detail}
    return JSONResponse(
        {**body, **more}, status_code=status, media_type="application/problem+json", headers=dict(headers or {})
    )


def status_of(error: Exception) -> HTTPStatus:
    """The status of the answer to an error."""
    if isinstance(error, HTTPException):
        return HTTPStatus(error.status_code)
    if isinstance(error, RequestValidationError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return next((_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def of_error(error: errors.VoiceAgentError) -> JSONResponse:
    """The document for one of our errors."""
    status = status_of(error)
    limits = (errors.DialLimitReached, errors.SpendingLimitReached)
    wait = error.retry_after if isinstance(error, limits) else _TRY_AGAIN_SECONDS
    headers = {"Retry-After": str(math.ceil(wait))} if error.retryable else {}
    return problem(status, error.code, str(error), headers=headers)


async def handle_error(request: Request | WebSocket, error: Exception) -> JSONResponse:
    """Answer one of our errors, or any other exception. A websocket is answered as long as it is not accepted."""
    if isinstance(error, errors.VoiceAgentError):
        answer = of_error(error)
        if isinstance(request, WebSocket) and request.application_state is WebSocketState.CONNECTING:
            await request.send_denial_response(answer)
        return answer
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "something went wrong on our side")


async def handle_http(_request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework itself refuses: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    code = _CODES.get(status) or status.phrase.lower().replace(" ", "_")
    return problem(status, code, str(error.detail), headers=error.headers)


async def handle_validation(_request: Request, error: Exception) -> JSONResponse:
    """Answer a request that does not fit its schema. Quotes nothing of the request, which may be personal."""
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = [{"where": ".".join(map(str, item["loc"])), "what": item["msg"]} for item in error.errors()]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return problem(HTTPStatus.BAD_REQUEST, "malformed_json", "the body is not JSON")
    if isinstance(error.body, bytes):  # FastAPI parses no body of another type
        detail = "send the body as JSON, with Content-Type: application/json"
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    detail = "; ".join(f"{item['where']}: {item['what']}" for item in wrong)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, errors=wrong)
