"""Vendors fail: the caller hears something within two seconds, or the call ends honestly, and nothing is said twice."""

import asyncio

import pytest

from app.errors import ProviderRejected, ProviderTimeout, ProviderUnavailable
from app.models import JournalRow
from app.ports.streams import StreamLost, StreamRestored
from tests.calls.fakes import LINES, LiveCall, World, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.vendors import Answer, ScriptedModel, Trouble

VIRTUAL_TIME = True

STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."
CUT = ProviderUnavailable("openai", "the connection was cut")
REFUSED = ProviderRejected("openai", "the key is wrong", status=401)


def failures(call: LiveCall, stage: str) -> list[bool]:
    """Whether each was final."""
    return [row.data["final"] for row in call.rows_of("provider.failed") if row.data["stage"] == stage]


def speech_after(call: LiveCall, row: JournalRow) -> float:
    """How long the caller waited for the next sound after that row, in seconds."""
    sounds = (sent.at for sent in call.far_end.sends_of("audio"))
    return min(at for at in sounds if at >= call.began + row.t - 1e-6) - call.began - row.t


async def asks(call: LiveCall, answers: int = 2) -> None:
    call.says("When do you open?")
    await call.until("agent.finished", answers)


# --- the model --------------------------------------------------------------------------------------------------------


async def test_a_model_that_fails_before_its_first_word_is_asked_once_more() -> None:
    world = World(model=ScriptedModel(Answer(fails=CUT), Answer("At nine.")))

    async with live_call(world, FarEnd()) as call:
        await asks(call)

    assert len(world.model.asked) == 2
    assert failures(call, "think") == [False]
    assert call.turns()[-1] == ("assistant", "At nine.")
    latency = call.body.record.turns[-1].latency
    assert latency is not None
    assert latency["llm_first_token"] == pytest.approx(0.4, abs=0.01), "both attempts"
    billed = [row for row in call.rows_of("provider.used") if row.data["provider"] == "openai"]
    assert len(billed) == 1, "what never answered costs nothing"


async def test_a_second_attempt_has_stages_of_its_own() -> None:
    world = World(model=ScriptedModel(Answer("At", fails=CUT), Answer("At nine.")))

    async with live_call(world, FarEnd()) as call:
        await asks(call)

    latency = call.body.record.turns[-1].latency
    assert latency is not None
    assert latency["llm_first_token"] == pytest.approx(0.2 + 0.03 + 0.2, abs=0.01)
    billed = [row for row in call.rows_of("provider.used") if row.data["provider"] == "openai"]
    assert len(billed) == 2


async def test_a_model_that_fails_twice_is_apologised_for_at_once() -> None:
    world = World(model=ScriptedModel(Answer(fails=CUT)))
    await world.prepare_phrases(TELEPHONE)

    async with live_call(world, FarEnd()) as call:
        await asks(call)

    assert len(world.model.asked) == 2
    assert failures(call, "think") == [False, True]
    assert call.turns()[-1] == ("assistant", LINES.apology)
    assert speech_after(call, call.rows_of("provider.failed")[-1]) < 0.1


async def test_a_model_that_refuses_is_not_asked_again() -> None:
    world = World(model=ScriptedModel(Answer(fails=REFUSED)))

    async with live_call(world, FarEnd()) as call:
        await asks(call)

    assert len(world.model.asked) == 1
    assert call.turns()[-1] == ("assistant", LINES.apology)


async def test_a_model_that_fails_again_and_again_ends_the_call_politely() -> None:
    world = World(model=ScriptedModel(Answer(fails=CUT)))

    async with live_call(world, FarEnd()) as call:
        await asks(call)
        call.says("And when do you close?")
        await call.ended()

    assert call.turns()[-1] == ("assistant", LINES.failure_goodbye)
    assert (call.body.record.end_reason, call.body.record.fault) == ("provider_failure", "provider:openai")


async def test_what_was_said_stays_when_the_model_breaks_off_in_the_middle() -> None:
    written = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we"
    world = World(model=ScriptedModel(Answer(written, each_token=0.1, fails=CUT)))

    async with live_call(world, FarEnd()) as call:
        await asks(call, answers=3)

    assert len(world.model.asked) == 1
    assert failures(call, "think") == [True]
    assert call.turns()[-2:] == [("assistant", "We open at nine on weekdays. "), ("assistant", LINES.cut_off)]
    heard = b"".join(utterance.audio for utterance in world.voice.of_call("call-1"))
    assert call.far_end.heard == heard, "the clause that was begun is said to its end"


async def test_the_clauses_that_a_broken_model_had_written_are_said_to_their_end() -> None:
    written = "We open at nine on weekdays. On Saturday we open at ten. And"
    world = World(model=ScriptedModel(Answer(written, each_token=0.1, fails=CUT)))
    world.voice.every = 0.3

    async with live_call(world, FarEnd()) as call:
        await asks(call, answers=3)

    assert call.turns()[-2] == ("assistant", "We open at nine on weekdays. On Saturday we open at ten. ")


async def test_a_model_that_hangs_is_covered_by_fillers_and_given_up() -> None:
    world = World(model=ScriptedModel(Answer(hangs=True), Answer("At nine.")))
    await world.prepare_phrases(TELEPHONE)

    async with live_call(world, FarEnd()) as call:
        asked_at = call.now
        call.says("When do you open?")
        await call.until("agent.reply_started", kind="apology")
        apologised_at = call.now
        assert world.model.open_streams == 0
        await call.until("agent.finished", 4)

    assert len(call.rows_of("agent.reply_started")) == 4
    policy = world.agent.policy
    due = policy.reply_seconds - policy.filler_lead_seconds  # the line has begun when the time is over
    assert apologised_at - asked_at == pytest.approx(due, abs=0.1)
    assert call.turns()[-1] == ("assistant", LINES.apology)
    billed = [row for row in call.rows_of("provider.used") if row.data["provider"] == "openai"]
    assert len(billed) == 1


async def test_the_model_is_not_asked_again_when_it_is_the_voice_that_fails() -> None:
    world = World(model=ScriptedModel(Answer("At nine."), Answer("At nine, as always.")))
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(), Trouble()]
        await asks(call)

    assert failures(call, "speak") == [False, True]
    assert len([row for row in call.rows_of("provider.used") if row.data["provider"] == "openai"]) == 1
    assert "apology" in [row.data["kind"] for row in call.rows_of("agent.reply_started")]


# --- the voice --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.3, 0.5, 1.0, 1.7, 2.3, 3.0, 4.0, 5.0])
@pytest.mark.parametrize("burst", [0.1, 0.37])
async def test_a_voice_that_is_lost_goes_on_after_the_last_word_that_had_sound(after: float, burst: float) -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    world.voice.burst = burst
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(after)]
        await asks(call)

    first, second = world.voice.of_call("call-1")[1:]
    sounded = [word.text for word in first.words if word.start < TELEPHONE.seconds(first.audio)]
    said = sounded + [word.text for word in second.words]
    assert " ".join(said) == STORY
    assert call.far_end.heard[-len(second.audio) :] == second.audio
    assert call.turns()[-1] == ("assistant", STORY)
    assert failures(call, "speak") == [False]


@pytest.mark.parametrize("after", [0.5, 1.7, 3.0])
async def test_what_was_heard_is_known_also_after_a_lost_voice(after: float) -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    async with live_call(world, FarEnd(delay=0.0)) as call:
        world.voice.troubles = [Trouble(after)]
        call.says("When do you open?")
        await call.until("agent.reply_started", 2)
        await asyncio.sleep(4.0)
        call.body.press("5")
        row = await call.until("agent.interrupted")

    first, second = world.voice.of_call("call-1")[1:]
    greeting = TELEPHONE.samples(world.voice.utterances[0].audio)
    played = (call.far_end.heard_samples - greeting) / TELEPHONE.sample_rate
    begins = TELEPHONE.seconds(first.audio)
    true_words = sum(word.start < min(played, begins) for word in first.words)
    true_words += sum(word.start + begins < played for word in second.words)
    assert row.data["exact"]
    assert abs(len(row.data["heard"].split()) - true_words) <= 1


async def test_a_voice_that_fails_for_good_leaves_what_was_heard_and_breaks_off_honestly() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    await world.prepare_phrases(TELEPHONE)
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(1.0), Trouble(0.0)]
        await asks(call, answers=3)

    assert failures(call, "speak") == [False, True]
    assert len(world.model.asked) == 1
    said, apology = call.turns()[-2:]
    assert apology == ("assistant", LINES.cut_off)
    first = world.voice.of_call("call-1")[0]
    sounded = [word.text for word in first.words if word.start < TELEPHONE.seconds(first.audio)]
    assert said[1].split() == sounded


async def test_only_the_client_cuts_off_a_synthesis_that_stalls() -> None:
    """The client's own deadline turns a stall into an error; here it never does, and the core stops waiting."""
    world = World(model=ScriptedModel(Answer(STORY), Answer("At nine.")))
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(1.0, stalls=True)]
        call.says("When do you open?")
        await call.until("agent.interrupted")
        assert call.now < 60

    assert not any(utterance.is_open for utterance in world.voice.of_call("call-1"))


async def test_a_prepared_phrase_is_played_when_synthesis_is_down() -> None:
    world = World(model=ScriptedModel(Answer("At nine.")))
    await world.prepare_phrases(TELEPHONE)
    world.voice.down = ProviderTimeout("cartesia", "no first audio before the deadline")

    async with live_call(world, FarEnd()) as call:
        await asks(call)

    assert call.turns() == [
        ("assistant", LINES.greeting),
        ("user", "When do you open?"),
        ("assistant", LINES.apology),
    ]
    assert call.body.record.fault == "provider:cartesia"


async def test_a_call_without_any_voice_ends_honestly() -> None:
    world = World(model=ScriptedModel(Answer("At nine.")))
    world.voice.down = ProviderTimeout("cartesia", "no first audio before the deadline")

    async with live_call(world, FarEnd(), greeted=False) as call:
        await call.until("provider.failed", 2)
        call.says("When do you open?")
        await call.ended()

    assert (call.body.record.end_reason, call.body.record.fault) == ("provider_failure", "provider:cartesia")


# --- speech to text --------------------------------------------------------------------------------------------------


async def test_an_stt_outage_that_ends_in_time_goes_unnoticed() -> None:
    async with live_call(World(), FarEnd()) as call:
        call.hears(StreamLost(ProviderUnavailable("deepgram", "cut"), final=False))
        await asyncio.sleep(2)
        call.hears(StreamRestored(2.0))
        await asyncio.sleep(3)
        await asks(call)

    assert call.turns()[1:] == [("user", "When do you open?"), ("assistant", "All right.")]
    assert failures(call, "listen") == [False]
    assert len(call.rows_of("provider.restored")) == 1


async def test_the_agent_says_that_it_cannot_hear_the_caller() -> None:
    async with live_call(World(), FarEnd()) as call:
        call.hears(StreamLost(ProviderUnavailable("deepgram", "cut"), final=False))
        row = await call.until("agent.finished", 2)
        call.hears(StreamRestored(5.0))

    assert row.data["heard"] == LINES.deaf


async def test_an_stt_outage_for_good_ends_the_call_politely() -> None:
    async with live_call(World(), FarEnd()) as call:
        call.hears(StreamLost(ProviderRejected("deepgram", "no credit", status=402), final=True))
        lost = await call.until("provider.failed")
        await call.until("agent.finished", heard=LINES.deaf)
        assert speech_after(call, lost) < 2
        await call.ended()

    assert call.turns()[-1] == ("assistant", LINES.failure_goodbye)
    assert (call.body.record.end_reason, call.body.record.fault) == ("provider_failure", "provider:deepgram")


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize(
    "answers",
    [
        [Answer(fails=CUT)],
        [Answer(fails=REFUSED)],
        [Answer(STORY, each_token=0.1, fails=CUT)],
        [Answer("", first_token=0.3)],
    ],
    ids=["cut", "refused", "in the middle", "empty"],
)
async def test_every_failure_of_the_model_is_followed_by_speech_within_two_seconds(
    answers: list[Answer], prepared: bool
) -> None:
    world = World(model=ScriptedModel(*answers))
    if prepared:
        await world.prepare_phrases(TELEPHONE)
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.reply_started", kind="apology")
        asked = call.rows_of("turn.taken")[0]
        for row in [*call.rows_of("provider.failed"), asked]:
            assert speech_after(call, row) < 2
