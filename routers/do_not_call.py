"""Endpoints for the numbers that nobody calls again."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query

from routers.auditing import WITH_KEY
from routers.dependencies import TheServices
from routers.schemas import DoNotCallEntry, DoNotCallPage

router = APIRouter(prefix="/do-not-call", dependencies=WITH_KEY, tags=["do-not-call"])

_Number = Annotated[str, Path(max_length=40, description="A telephone number, such as `+74951234567`.")]


@router.get("")
async def list_do_not_call(
    services: TheServices,
    limit: Annotated[int, Query(ge=1, le=1000, description="Numbers in a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=40, description="`next_cursor` of the page before.")] = None,
) -> DoNotCallPage:
    """List the numbers that are never called."""
    page, after = await services.operators.do_not_call.page(limit=limit, cursor=cursor)
    return DoNotCallPage(numbers=[DoNotCallEntry(**asdict(entry)) for entry in page], next_cursor=after)


@router.put("/{number}")
async def add_do_not_call(number: _Number, services: TheServices) -> DoNotCallEntry:
    """Have a number never called again. It does not matter how the number is written."""
    return DoNotCallEntry(**asdict(await services.operators.do_not_call.add(number)))


@router.delete("/{number}", status_code=HTTPStatus.NO_CONTENT)
async def remove_do_not_call(number: _Number, services: TheServices) -> None:
    """Let a number be called again."""
    await services.operators.do_not_call.remove(number)
