"""``X-Request-Id`` in, out, and in the log."""

import re

import httpx
import pytest
import structlog
from fastapi import FastAPI

from routers.request_ids import RequestIds


@pytest.fixture
def app() -> FastAPI:
    made = FastAPI()
    made.add_middleware(RequestIds)

    @made.get("/seen")
    async def seen() -> dict[str, object]:
        return structlog.contextvars.get_contextvars()

    return made


async def ask(app: FastAPI, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as http:
        return await http.get("/seen", headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_an_id_is_taken_over_and_is_in_the_answer_and_the_log(app: FastAPI) -> None:
    answer = await ask(app, X_Request_Id="proxy-7.abc_1")

    assert answer.headers["x-request-id"] == "proxy-7.abc_1"
    assert answer.json() == {"request_id": "proxy-7.abc_1"}
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, '"}, {"level": "error"', "+79990000001"])
async def test_what_is_no_id_is_replaced(app: FastAPI, given: str) -> None:
    one, other = [(await ask(app, X_Request_Id=given)).headers["x-request-id"] for _ in range(2)]

    assert re.fullmatch(r"[0-9a-f]{32}", one)
    assert one != other
