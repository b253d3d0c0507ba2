"""How long Flux waits for the end of a turn, as it is told on a live connection."""

import json
from typing import Any

import pytest

from app.clients.deepgram.messages import DeepgramOptions
from app.clients.deepgram.patience import FluxPatience, thresholds
from app.models import Patience
from app.ports.streams import TurnEnded
from tests.clients.deepgram.listening import NOVA, listening, read, speak
from tests.clients.deepgram.server import DeepgramServer, Stage, closes, deepgram, flux, hears, nova

TAKEN: dict[str, Any] = {"type": "ConfigureSuccess", "request_id": "flux-request", "sequence_id": 1}


def configured(server: DeepgramServer, socket: int = 0) -> list[dict[str, float]]:
    """The thresholds that a socket was told, in their order."""
    texts = server.sessions[socket].texts if len(server.sessions) > socket else []
    return [text["thresholds"] for text in texts if text["type"] == "Configure"]


@pytest.mark.parametrize(
    ("patience", "told"),
    [
        (Patience.QUICK, {"eager_eot_threshold": 0.3, "eot_threshold": 0.5, "eot_timeout_ms": 5000}),
        (Patience.NORMAL, {"eager_eot_threshold": 0.5, "eot_threshold": 0.7, "eot_timeout_ms": 5000}),
        (Patience.PATIENT, {"eager_eot_threshold": 0.5, "eot_threshold": 0.9, "eot_timeout_ms": 4000}),
    ],
)
def test_each_patience_has_its_thresholds(patience: Patience, told: dict[str, float]) -> None:
    assert thresholds(DeepgramOptions(), patience) == told


@pytest.mark.parametrize("patience", list(Patience))
def test_what_was_configured_as_more_extreme_stays(patience: Patience) -> None:
    options = DeepgramOptions(eager_eot_threshold=None, eot_threshold=0.95, eot_timeout_ms=1000)

    told = thresholds(options, patience)

    assert "eager_eot_threshold" not in told
    assert told["eot_timeout_ms"] == 1000
    assert told["eot_threshold"] == (0.5 if patience is Patience.QUICK else 0.95)
    for each in (options, DeepgramOptions(), DeepgramOptions(eager_eot_threshold=0.3, eot_threshold=0.5)):
        told = thresholds(each, patience)
        DeepgramOptions(**{"eager_eot_threshold": None, **told})  # type: ignore[arg-type]  # raises what Deepgram refuses


def test_a_message_waits_for_the_answer_to_the_one_before_but_not_for_ever() -> None:
    patience = FluxPatience(DeepgramOptions())

    assert patience.next_message(Patience.NORMAL, 0.0) is None
    first = patience.next_message(Patience.PATIENT, 0.0)
    assert json.loads(first or "{}")["type"] == "Configure"
    assert patience.next_message(Patience.QUICK, 0.1) is None
    assert not patience.note({"type": "TurnInfo"})
    assert patience.next_message(Patience.QUICK, 0.2) is None
    assert patience.note({"type": "ConfigureFailure"})
    assert patience.next_message(Patience.QUICK, 0.3) is not None
    assert patience.next_message(Patience.NORMAL, 1.0) is None
    assert patience.next_message(Patience.NORMAL, 2.5) is not None


def test_turns_that_are_ended_by_hand_are_left_alone() -> None:
    patience = FluxPatience(DeepgramOptions(eot_threshold=1.0))

    assert patience.next_message(Patience.QUICK, 0.0) is None


async def test_flux_is_told_in_the_middle_of_a_turn_one_message_at_a_time() -> None:
    says = ((0.1, flux("Update", "мой номер")), (0.3, TAKEN), (0.4, flux("EndOfTurn", "мой номер", end=0.4)))
    async with deepgram(hears(*says)) as server, listening(server) as stream:
        speak(stream, 0.0, 0.1)
        stream.set_patience(Patience.PATIENT)
        await server.until(lambda: len(configured(server)) == 1)
        stream.set_patience(Patience.QUICK)
        stream.set_patience(Patience.NORMAL)
        speak(stream, 0.1, 0.2)
        await server.until(lambda: server.sessions[0].seconds >= 0.2)
        assert [told["eot_threshold"] for told in configured(server)] == [0.9]
        speak(stream, 0.2, 0.4)
        await read(stream, TurnEnded)
        await server.until(lambda: len(configured(server)) == 2)
        assert [told["eot_threshold"] for told in configured(server)] == [0.9, 0.7]


@pytest.mark.parametrize("code", ["INVALID", None])
async def test_a_refusal_ends_nothing(code: str | None) -> None:
    refusal = {"type": "ConfigureFailure", "request_id": "flux-request", "sequence_id": 1, "code": code}
    says = ((0.1, refusal), (0.2, flux("Update", "да")), (0.3, flux("EndOfTurn", "да", end=0.3)))
    async with deepgram(hears(*says)) as server, listening(server) as stream:
        stream.set_patience(Patience.QUICK)
        await server.until(lambda: len(configured(server)) == 1)
        speak(stream, 0.0, 0.3)
        (ended,) = await read(stream, TurnEnded)
        assert ended.transcript.text == "да"
        assert len(server.sessions) == 1


@pytest.mark.parametrize("lost", [closes(1011, "NET-0000", after=0.1)])
async def test_the_next_connection_is_told_again(lost: Stage) -> None:
    async with deepgram(lost, hears()) as server, listening(server) as stream:
        stream.set_patience(Patience.PATIENT)
        speak(stream, 0.0, 0.2)
        await server.until(lambda: len(configured(server, 1)) == 1)
        assert configured(server, 1)[0]["eot_threshold"] == 0.9


async def test_nova_has_no_such_message_and_gets_none() -> None:
    says = ((0.1, nova("да", end=0.1)), (0.3, nova("да", end=0.3, final=True, speech_final=True)))
    async with deepgram(hears(*says)) as server, listening(server, **NOVA) as stream:
        stream.set_patience(Patience.PATIENT)
        speak(stream, 0.0, 0.3)
        await read(stream, TurnEnded)
        assert not server.sessions[0].texts
