"""Refuses request bodies that are larger than any endpoint needs."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from routers.problems import problem

MAX_BODY_BYTES = 64 * 1024
_DETAIL = f"a body has at most {MAX_BODY_BYTES} bytes"


class BodyLimit:
    """ASGI middleware: answers a body larger than ``MAX_BODY_BYTES`` with 413.

    When ``Content-Length`` is too large, the application never sees the request. Otherwise the bytes are counted, and
    the application gets HTTPException 413 from ``receive``, or a disconnect if its response has already begun.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _claimed_length(scope) > MAX_BODY_BYTES:
            refusal = problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", _DETAIL)
            await refusal(scope, receive, send)
            return
        read, has_begun = 0, False

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read <= MAX_BODY_BYTES:
                return message
            if has_begun:
                return {"type": "http.disconnect"}
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _DETAIL)

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        await self._app(scope, limited, noting)


def _claimed_length(scope: Scope) -> int:
    text = dict(scope["headers"]).get(b"content-length", b"0")
    return int(text) if text.isdigit() else 0
