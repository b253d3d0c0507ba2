"""The program that calls as a simulated caller, on the event loop that production runs on."""

import json
import sys

import pytest
import uvloop

from app.clients.simulated_caller import SimulatedCallerProgram
from app.errors import SimulatedCallFailed
from sandbox.caller.scores import SCORES
from sandbox.child_server import free_port


def test_it_says_what_callers_can_do_and_is_asked_once() -> None:
    async def asked_twice() -> list[str]:
        program = SimulatedCallerProgram()
        first = await program.scores()
        assert await program.scores() is first
        return [each.name for each in first]

    assert uvloop.run(asked_twice()) == list(SCORES)


def test_a_call_that_does_not_come_about_says_why() -> None:
    url = f"ws://127.0.0.1:{free_port()}/media/call_1?token=secret"

    async def calls() -> None:
        order = {"score": "demo-en", "call_id": "call_1", "url": url, "sandbox": None}
        with pytest.raises(SimulatedCallFailed, match="the websocket cannot be opened: ConnectionRefusedError"):
            await SimulatedCallerProgram().call(order, lambda: pytest.fail("there is no call"))

    uvloop.run(calls())


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (("no such program",), "cannot be run: No such file or directory"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "ended with status 3"),
        ((sys.executable, "-c", f"print({json.dumps(json.dumps({'scores': []}))}); raise SystemExit(4)"), "status 4"),
    ],
)
def test_a_program_that_fails_is_told(program: tuple[str, ...], reason: str) -> None:
    async def asks() -> None:
        with pytest.raises(SimulatedCallFailed, match=reason):
            await SimulatedCallerProgram(program).scores()

    uvloop.run(asks())
