"""Logging in and out of the dashboard."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from app.storage.api_keys import OPERATOR
from routers.dependencies import TheServices, is_same, refuse, require_own_page
from routers.query_parameters import KNOWN_PARAMETERS
from routers.schemas import SessionKey
from routers.session_cookie import CookieKey, clear_cookie, set_cookie

router = APIRouter(prefix="/session", dependencies=[Depends(require_own_page), KNOWN_PARAMETERS], tags=["session"])


@router.post("", status_code=HTTPStatus.NO_CONTENT)
async def open_session(wanted: SessionKey, request: Request, response: Response, services: TheServices) -> None:
    """Exchange the API key, or a named key, for a cookie that is valid for twelve hours and may do the same."""
    key, given = services.settings.api_key, wanted.api_key.get_secret_value()
    if key is None:
        return
    holder = CookieKey(OPERATOR, None)
    if not is_same(given, key):
        named = await services.operators.keys.find(given)
        if named is None:
            refuse(request, "api", guessed=True)
        holder = CookieKey(named.name, named.mark)
    set_cookie(response, key, holder, secure=_is_https(request))


@router.delete("", status_code=HTTPStatus.NO_CONTENT)
async def close_session(request: Request, response: Response) -> None:
    """Make the browser delete its cookie."""
    clear_cookie(response, secure=_is_https(request))


def _is_https(request: Request) -> bool:
    """Whether the browser uses HTTPS. Believes any proxy header: a client that lies only loses its own cookie."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
