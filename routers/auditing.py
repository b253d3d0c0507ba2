"""Writes down who asks for what: every request with a key that changes something."""

from collections.abc import AsyncIterator
from http import HTTPStatus

import structlog
from fastapi import Depends, Request

from app.clock import utc_now
from app.errors import StorageError
from routers.dependencies import KeyHolder, TheServices, require_key
from routers.problems import status_of
from routers.query_parameters import KNOWN_PARAMETERS
from routers.scopes import SAFE_METHODS, method_and_path

log = structlog.get_logger(__name__)


async def _audited(request: Request, services: TheServices) -> AsyncIterator[None]:
    """The entry is stored before anything is done, so a request that cannot be written down is refused (503)."""
    if request.method in SAFE_METHODS:
        yield
        return
    holder: KeyHolder = request.state.key_holder
    action = " ".join(method_and_path(request))
    entry = await services.operators.audit.add(
        holder.name, action, utc_now(), call_id=request.path_params.get("call_id")
    )
    status = getattr(request.scope["route"], "status_code", None) or HTTPStatus.OK
    try:
        yield
    except Exception as error:
        status = status_of(error)
        raise
    finally:
        try:
            await services.operators.audit.answered(entry, status, call_id=getattr(request.state, "made_call", None))
        except StorageError as error:
            log.error("audit.incomplete", action=action, code=error.code)


def made_call(request: Request, call_id: str) -> None:
    """Name the call that a request has made, for its entry."""
    request.state.made_call = call_id


WITH_KEY = [Depends(require_key), Depends(_audited), KNOWN_PARAMETERS]
"""What every route for operators depends on."""
