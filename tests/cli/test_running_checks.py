"""``doctor`` looks at the agent's tools, and believes a running service that says what is not well."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.cli.checks.findings import examine
from app.cli.checks.running import ask_service, running_checks
from sandbox.running import serving
from tests.cli.test_doctor import graded
from tests.test_settings import loaded

AGENT = """
name: clinic
prompt: You book tables.
tools:
  - name: find_slot
    description: Finds a free slot.
    method: GET
    url: {url}
"""


def health(*components: dict[str, object]) -> Starlette:
    async def answer(request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer of-the-service":
            return PlainTextResponse("", 401)
        return JSONResponse({"status": "degraded", "components": list(components)})

    return Starlette(routes=[Route("/health", answer)])


@pytest.mark.parametrize(
    ("status", "grade"), [("degraded", "wrong"), ("failed", "wrong"), ("ok", "ok"), ("odd", "wrong")]
)
async def test_a_tool_that_the_running_service_finds_degraded_is_wrong(status: str, grade: str) -> None:
    tool = {"name": "tool:find_slot", "status": status, "detail": "provider_timeout"}
    async with serving(health({"name": "storage", "status": "ok", "detail": None}, tool)) as url:
        settings = loaded({"PORT": url.rpartition(":")[2], "API_KEY": "of-the-service"})
        findings = await ask_service(settings)

    assert graded(findings) == [("running service" if status == "ok" else "tool:find_slot", grade)]
    assert status == "ok" or "provider_timeout" in findings[0].said


async def test_a_service_that_cannot_be_asked_is_not_checked() -> None:
    async with serving(health()) as url:
        port = url.rpartition(":")[2]
        refused = await ask_service(loaded({"PORT": port, "API_KEY": "another"}))
    nobody = await ask_service(loaded({"PORT": port}))

    assert graded(refused) == graded(nobody) == [("running service", "not checked")]


async def test_the_address_of_a_tool_is_connected_to_and_asked_nothing(tmp_path: Path) -> None:
    async with serving(health()) as url:
        (tmp_path / "agent.yaml").write_text(AGENT.format(url=f"{url}/slots"))
        settings = loaded({"AGENT_PROMPT_FILE": str(tmp_path / "agent.yaml"), "PORT": "9"})
        there = await examine(running_checks(settings))
    gone = await examine(running_checks(settings))

    assert graded(there)[0] == ("tool find_slot", "ok")
    assert graded(gone)[0] == ("tool find_slot", "wrong")
    assert "Nothing listens there" in gone[0].advice
