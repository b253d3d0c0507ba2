"""The endpoint for LiveKit's webhooks."""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response

from routers.dependencies import TheServices
from routers.query_parameters import KNOWN_PARAMETERS

router = APIRouter(prefix="/webhooks", dependencies=[KNOWN_PARAMETERS], tags=["webhooks"])


@router.post("/livekit", response_class=Response)
async def receive_livekit_webhook(services: TheServices, request: Request) -> Response:
    """Receive a signed event. Answers as soon as it is stored; the work follows."""
    if services.telephone is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "no telephone calls are taken: LIVEKIT_URL is not set")
    await services.telephone.webhooks.receive(await request.body(), request.headers.get("authorization", ""))
    return Response()
