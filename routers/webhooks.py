"""Webhooks of LiveKit."""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response

from routers.dependencies import TheServices

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

_MAX_BODY_BYTES = 64 * 1024


@router.post("/livekit", response_class=Response)
async def livekit(services: TheServices, request: Request) -> Response:
    """A signed event; answered as soon as it is safe, worked on afterwards."""
    if services.webhooks is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "no telephone calls are taken: LIVEKIT_URL is not set")
    await services.webhooks.receive(await _body(request), request.headers.get("authorization", ""))
    return Response()


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {_MAX_BODY_BYTES} bytes")
    return bytes(body)
