"""What the record says the caller heard, against the sound that was really played to them."""

import asyncio

import pytest

from sandbox.caller.score import Score, coughs, interrupts, says, waits_for_agent
from sandbox.carrier.telephone import Telephone
from sandbox.vendors.stage import KeptRequest
from sandbox.vendors.voice import synthesize
from tests.end_to_end.calls import GREETING, QUIET, SPEED, Held, hold_all, score
from tests.end_to_end.service import running_service
from tests.support.leaping_time import LeapingTimeLoop

SENTENCES = (
    "Мы работаем каждый день с девяти утра до восьми вечера. ",
    "В субботу приходите к нам с десяти и до самого обеда. ",
    "По праздникам у нас закрыто и телефон не отвечает.",
)
REPLY = "".join(SENTENCES)
MOMENTS = (0.4, 0.9, 1.4, 2.3, 3.4, 4.6)
RATE = 16000
VARIES_SECONDS = 0.06


def interrupted(after: float) -> Score:
    return score(
        waits_for_agent(QUIET),
        says("Когда?"),
        interrupts("Постойте, погодите!", after=after),
        waits_for_agent(QUIET),
        replies=({"text": REPLY}, {"text": "Слушаю."}),
    )


SCORES = {f"after {after} s": (interrupted(after), Telephone()) for after in MOMENTS}
SCORES["without an answer to clear"] = (interrupted(2.0), Telephone(acknowledges_clear=False, echoes_marks=False))
SCORES["a cough"] = (
    score(
        waits_for_agent(QUIET),
        says("Когда?"),
        coughs(after=1.0, seconds=0.25),
        waits_for_agent(QUIET),
        replies=({"text": SENTENCES[0]},),
    ),
    Telephone(),
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Held], list[KeptRequest]]:
    """The calls, and what the model was asked in them."""

    async def held() -> tuple[dict[str, Held], list[KeptRequest]]:
        async with running_service(tmp_path_factory.mktemp("heard"), greeting=GREETING) as service:
            return await hold_all(service, SCORES), list(service.sandbox.stage.requests)

    with asyncio.Runner(loop_factory=LeapingTimeLoop) as runner:
        return runner.run(held())


@pytest.fixture(scope="module")
def calls(house: tuple[dict[str, Held], list[KeptRequest]]) -> dict[str, Held]:
    return house[0]


def words_played(call: Held, margin_seconds: float = 0.0) -> int:
    """How many words of the reply had begun in the sound that the caller heard before they could speak.

    The voice does not say a sentence twice in quite the same time, hence the margin.
    """
    interruption = next(each for each in call.report.utterances if each.kind == "interrupts")
    piece = [piece for piece in call.report.heard if piece.at < interruption.started_at][-1]
    played, words, offset = len(piece.samples) / RATE + margin_seconds, 0, 0.0
    for sentence in SENTENCES:
        speech = synthesize(sentence, "ru", RATE, SPEED)
        words += sum(offset + word.start < played for word in speech.words)
        offset += len(speech.pcm) / 2 / RATE
    return words


def cut_turn(call: Held) -> dict[str, object]:
    return next(turn for turn in call.record["turns"] if turn["interrupted"])


@pytest.mark.parametrize("name", [name for name in SCORES if name.startswith("after")])
def test_the_record_is_true_to_within_a_word(calls: dict[str, Held], name: str) -> None:
    turn = cut_turn(calls[name])
    assert REPLY.startswith(str(turn["text"]))
    assert turn["text_generated"] == REPLY
    assert turn["heard"] == "exact"
    call, recorded = calls[name], len(str(turn["text"]).split())
    assert words_played(call, -VARIES_SECONDS) - 1 <= recorded <= words_played(call, VARIES_SECONDS) + 1


def test_the_later_the_interruption_the_more_was_heard(calls: dict[str, Held]) -> None:
    heard = [len(str(cut_turn(calls[f"after {after} s"])["text"]).split()) for after in MOMENTS]
    assert heard == sorted(set(heard))
    assert heard[0] >= 1


def test_a_client_that_does_not_tell_what_it_played_is_estimated(calls: dict[str, Held]) -> None:
    call = calls["without an answer to clear"]
    turn = cut_turn(call)
    assert turn["heard"] == "estimated"
    recorded = len(str(turn["text"]).split())
    assert words_played(call, -VARIES_SECONDS) - 2 <= recorded <= words_played(call, VARIES_SECONDS) + 2


@pytest.mark.parametrize("name", [name for name in SCORES if name.startswith("after")])
def test_the_cut_turn_ends_when_the_caller_heard_it_end(calls: dict[str, Held], name: str) -> None:
    call = calls[name]
    question, interruption = call.report.utterances[:2]
    assert interruption.agent_stopped_at is not None
    assert question.answered_at is not None
    turn = cut_turn(call)
    lasted = float(str(turn["ended_at"])) - float(str(turn["started_at"]))
    assert lasted == pytest.approx(interruption.agent_stopped_at - question.answered_at, abs=0.5)


@pytest.mark.parametrize("name", [name for name in SCORES if name.startswith("after")])
def test_the_model_sees_what_was_heard_and_not_what_was_generated(
    house: tuple[dict[str, Held], list[KeptRequest]], name: str
) -> None:
    calls, requests = house
    call = calls[name]
    heard = str(cut_turn(call)["text"]).strip()
    asked = [kept.body for kept in requests if kept.call_id == call.call_id]
    last = next(str(body) for body in reversed(asked) if "Постойте" in str(body))
    assert heard in last
    assert REPLY not in last


def test_after_a_cough_the_voice_goes_on_and_nothing_is_lost(calls: dict[str, Held]) -> None:
    call = calls["a cough"]
    answer = call.record["turns"][-1]
    assert (answer["text"], answer["interrupted"]) == (SENTENCES[0], False)
    speech = synthesize(SENTENCES[0], "ru", RATE, SPEED)
    started = call.report.utterances[0].answered_at
    assert started is not None
    played = sum(len(piece.samples) for piece in call.report.heard if piece.at > started - 0.1) / RATE
    assert played == pytest.approx(len(speech.pcm) / 2 / RATE, abs=0.25)
    assert [row["type"] for row in call.journal if row["type"] in ("agent.paused", "agent.resumed")] == [
        "agent.paused",
        "agent.resumed",
    ]
