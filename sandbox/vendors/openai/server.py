"""The routes of OpenAI: ``/chat/completions``, ``/responses``, ``/models`` (platform.openai.com/docs/api-reference)."""

import asyncio
import json
from types import ModuleType
from typing import Any

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.vendors.faults import Trouble
from sandbox.vendors.openai import chat as openai_chat
from sandbox.vendors.openai import responses as openai_responses
from sandbox.vendors.openai.answer import Answering, BadRequest, PromptCache
from sandbox.vendors.openai.spoiling import KEEP_THE_SCRIPT, has_readable_history, refusal_in_stream, refusal_of
from sandbox.vendors.openai.structured import schema_of
from sandbox.vendors.stage import Stage
from sandbox.vendors.wire import Dropped, NoAnswer, stage_of, whole_answer

_MODELS = (
    "gpt-6-luna",
    "gpt-6.1-terra",
    "gpt-6-sol",
    "gpt-5.6-luna",
    "gpt-5.4-mini",
    "gpt-4.1-mini",
    "gpt-4.1",
    "gpt-4o",
)
STRUCTURED = "structured"
"""The route of faults and kept requests for structured output, through either API."""
_CLIENT_CLOSED = 499
"""nginx's status for a request whose client has left."""
_TURNED_AWAY: dict[str, tuple[int, str, str, str]] = {
    "refuse": (503, "The server is overloaded", "server_error", "server_overloaded"),
    "unauthorized": (401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
    "unpaid": (402, "You have no credit left", "insufficient_quota", "insufficient_quota"),
    "forbidden": (403, "Country, region, or territory not supported", "request_forbidden", "unsupported_country"),
    "rate_limit": (429, "Rate limit reached", "requests", "rate_limit_exceeded"),
}


def failure(status: int, message: str, kind: str, code: str | None, headers: dict[str, str] | None = None) -> Response:
    """OpenAI's error body."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, {"x-request-id": "req_sandbox", **(headers or {})})


def turned_away(connection: HTTPConnection, trouble: Trouble) -> Response | None:
    """The response for a client without a key, or that a fault turns away or hangs; None if it may proceed."""
    if trouble.turned_away == "unreachable":
        return Dropped()
    if trouble.turned_away is not None:
        return failure(*_TURNED_AWAY[trouble.turned_away], headers=trouble.headers)
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        return failure(*_TURNED_AWAY["unauthorized"])
    return NoAnswer() if trouble.hangs else None


async def chat_completions(request: Request) -> Response:
    """``POST /chat/completions``, streamed or whole."""
    return await _generate(request, "chat/completions")


async def responses(request: Request) -> Response:
    """``POST /responses``, streamed or whole."""
    return await _generate(request, "responses")


async def _generate(request: Request, route: str) -> Response:
    stage = stage_of(request)
    received_at = asyncio.get_running_loop().time()
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    except ClientDisconnect:  # the client left while it was sending the request
        return Response(status_code=_CLIENT_CLOSED)
    call_id = _call_id(request, body)
    is_structured = isinstance(body, dict) and schema_of(body) is not None
    if is_structured:  # work after a call, which is no part of what the call asked
        stage.keep_request("openai", STRUCTURED, None, body)
    else:
        stage.keep_request("openai", route, call_id, body)
        stage.note("openai", "request", call_id)
    model = body.get("model") if isinstance(body, dict) else None
    asked_at = STRUCTURED if is_structured else route
    trouble = stage.faults.take("openai", asked_at, call_id, model=model, when=lambda fault: _holds(body, fault.phrase))
    refusal = turned_away(request, trouble)
    if refusal is not None:
        return refusal
    refused = _refused(route, body, trouble)
    if refused is not None:
        return refused
    api = openai_chat if route == "chat/completions" else openai_responses
    try:
        asked = api.read(body)
    except BadRequest as bad:
        return failure(bad.status, str(bad), "invalid_request_error", bad.code)
    breaks_off = trouble.breaks_off or trouble.named in KEEP_THE_SCRIPT
    answering = Answering(
        stage, asked, call_id, received_at, _cache(request), breaks_off=breaks_off, fault=trouble.named
    )
    return await _answer(api, answering, trouble)


def _holds(body: Any, phrase: str | None) -> bool:
    return phrase is None or phrase in json.dumps(body, ensure_ascii=False)


def _refused(route: str, body: Any, trouble: Trouble) -> Response | None:
    """The error for a request whose content a fault refuses; None if none does."""
    match trouble.named:
        case "refused_content":
            return JSONResponse({"error": refusal_of(route)}, 400, {"x-request-id": "req_sandbox"})
        case "refused_in_stream":
            return Response(refusal_in_stream(route), media_type="text/event-stream")
        case "strict_history" if isinstance(body, dict) and not has_readable_history(body):
            return failure(400, "The arguments of a tool call are not a JSON object", "invalid_request_error", None)
        case _:
            return None


async def _answer(api: ModuleType, answering: Answering, trouble: Trouble) -> Response:
    error = answering.reply.error
    if error is not None:
        code = error.get("code")
        kind = error.get("type", "server_error")
        return failure(int(error.get("status", 500)), error.get("message", "The server had an error"), kind, code)
    headers = {"x-request-id": answering.request_id, "openai-processing-ms": "1"}
    if answering.asked.stream:
        streamed: Response = api.stream(answering, trouble, headers)
        return streamed
    async for _ in answering.pieces():
        pass
    broken = failure(500, "The server had an error", "server_error", None)
    return await whole_answer(JSONResponse(api.whole(answering), headers=headers), broken, trouble)


def _call_id(request: Request, body: Any) -> str | None:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    named = metadata.get("call_id") if isinstance(metadata, dict) else None
    return named or request.headers.get("x-call-id")


def _cache(request: Request) -> PromptCache:
    cache: PromptCache = request.app.state.prompt_cache
    return cache


async def models(request: Request) -> Response:
    """``GET /models``."""
    stage: Stage = stage_of(request)
    stage.keep_request("openai", "models", None, None)
    refusal = turned_away(request, stage.faults.take("openai", "models", None))
    if refusal is not None:
        return refusal
    listed = [{"id": model, "object": "model", "created": 1750000000, "owned_by": "openai"} for model in _MODELS]
    return JSONResponse({"object": "list", "data": listed})


ROUTES: list[BaseRoute] = [
    Route("/chat/completions", chat_completions, methods=["POST"]),
    Route("/responses", responses, methods=["POST"]),
    Route("/models", models),
]
