"""Webhooks of LiveKit."""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response

from routers.dependencies import TheServices

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("/livekit", response_class=Response)
async def receive_livekit_webhook(services: TheServices, request: Request) -> Response:
    """A signed event; answered as soon as it is safe, worked on afterwards."""
    if services.telephone is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "no telephone calls are taken: LIVEKIT_URL is not set")
    await services.telephone.webhooks.receive(await request.body(), request.headers.get("authorization", ""))
    return Response()
