"""LiveKit's API under a fault: what goes over the wire instead of the answer.

The general kinds mean here: ``refuse`` 503, ``unauthorized`` 401 and ``rate_limit`` 429 in LiveKit's own words,
``hang`` no answer, ``slow`` a late answer, ``garbage`` an answer that is not protobuf, ``error_event`` a server error.
``unreachable`` drops the connection, ``unpaid`` is 402, ``forbidden`` 403, and ``late`` is ``slow``. There is no
``stall`` and no ``cut``; use ``drip`` and ``half_message``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from sandbox.vendors.faults import Fault
from sandbox.vendors.wire import Dropped

NOT_HERE = ("stall", "cut")

_PROTOBUF = "application/protobuf"
_PAGE = "<!doctype html><html><body><h1>We are working on it</h1></body></html>"
_DRIP_SECONDS = 0.2

Answer = Callable[[], Awaitable[Response]]


async def struck(fault: Fault, request: Request, answer: Answer) -> Response:
    """The response under the fault; ``answer`` fetches the one without it."""
    if fault.kind in ("hang", "lost_answer"):
        if fault.kind == "lost_answer":
            await answer()
        return await _nothing(request)
    if fault.kind == "unreachable":
        return Dropped()
    if fault.kind in ("slow", "late"):
        await asyncio.sleep(fault.seconds_per_item)
        return await answer()
    if fault.kind == "half_message":
        body = bytes((await answer()).body)
        return Response(body[: len(body) // 2] + b"\x0a", media_type=_PROTOBUF)
    return _INSTEAD[fault.kind](fault)


async def _nothing(request: Request) -> Response:
    """Send nothing until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response(status_code=500)


async def _drips() -> AsyncIterator[bytes]:
    while True:
        yield b"\x00"
        await asyncio.sleep(_DRIP_SECONDS)


def _error(status: int, code: str) -> Callable[[Fault], Response]:
    """A Twirp error."""

    def answered(fault: Fault) -> Response:
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        return JSONResponse({"code": code, "msg": "by a fault"}, status, headers)

    return answered


def _no_protobuf(_fault: Fault) -> Response:
    return Response(b"\xff\xfe\xfd no protobuf", media_type=_PROTOBUF)


_INSTEAD: dict[str, Callable[[Fault], Response]] = {
    "html": lambda _fault: Response(_PAGE, media_type="text/html"),
    "bad_gateway": lambda _fault: Response(_PAGE, 502, media_type="text/html"),
    "no_protobuf": _no_protobuf,
    "garbage": _no_protobuf,
    "drip": lambda _fault: StreamingResponse(_drips(), media_type=_PROTOBUF),
    "unauthorized": lambda _fault: PlainTextResponse("invalid token", 401),
    "unpaid": _error(402, "resource_exhausted"),
    "forbidden": _error(403, "permission_denied"),
    "rate_limit": _error(429, "resource_exhausted"),
    "refuse": _error(503, "unavailable"),
    "server_error": _error(500, "internal"),
    "error_event": _error(500, "internal"),
}
"""Answers that need no LiveKit server."""
