"""Bodies larger than any request of ours needs are refused before they are read."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from routers.problems import problem

MAX_BODY_BYTES = 64 * 1024
_DETAIL = f"a body has at most {MAX_BODY_BYTES} bytes"


class BodyLimit:
    """ASGI middleware: a body larger than ``MAX_BODY_BYTES`` is answered with 413.

    A length that is told beforehand is believed: the application does not see the request. Without one the bytes are
    counted, and the application gets HTTPException 413 from ``receive``; behind an answer that has begun already the
    rest of the body is as good as a client that has gone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _told_length(scope) > MAX_BODY_BYTES:
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

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        await self._app(scope, limited, noted)


def _told_length(scope: Scope) -> int:
    text = dict(scope["headers"]).get(b"content-length", b"0")
    return int(text) if text.isdigit() else 0
