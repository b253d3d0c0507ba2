"""The caller cuts in: the record says what the far end has played, and a voice that goes on loses nothing."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.conversation import events as ev
from tests.calls.fakes import LiveCall, World, in_virtual_time, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.vendors import Answer, ScriptedModel

STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."
SOUND = ev.CallerSoundStarted
STORY_SECONDS = 5.74
LATE = [0.0025, 0.02, 0.04]
"""Of the line, in seconds each way: the far end's answer to a clear comes twice as late."""


@dataclass
class Interruption:
    """What the record says of the interrupted answer, and what is true."""

    row: ev.AgentInterrupted
    text: str
    """In the record of the call."""
    true_words: int
    """That had begun when the far end fell silent."""

    @property
    def words(self) -> int:
        return len(self.row.heard.split())


def played_of_the_reply(call: LiveCall) -> int:
    """Samples of the answer that the far end has played; the greeting came before it."""
    greeting = call.world.voice.of_call(call.call_id)[0]
    return call.far_end.heard_samples - TELEPHONE.samples(greeting.audio)


def words_begun(call: LiveCall) -> int:
    played = played_of_the_reply(call)
    words = call.world.voice.of_call(call.call_id)[1].words
    return sum(int(word.start * TELEPHONE.sample_rate) < played for word in words)


async def starts_to_answer(call: LiveCall) -> None:
    call.says("When do you open?")
    await call.until("agent.reply_started", 2)


async def interruption(call: LiveCall) -> Interruption:
    row = await call.until("agent.interrupted")
    interrupted = ev.AgentInterrupted(turn=row.turn or 0, **row.data)
    [turn] = [turn for turn in call.body.record.turns if turn.interrupted]
    assert turn.text == interrupted.heard
    assert STORY.startswith(interrupted.heard.strip())
    return Interruption(interrupted, turn.text, words_begun(call))


def a_world() -> World:
    return World(model=ScriptedModel(Answer(STORY), Answer("Yes.")))


async def cut_in(far_end: FarEnd, after: float, *, words_after: float = 0.3) -> Interruption:
    """Sound holds the voice back so long after it began, words stop it."""
    async with live_call(a_world(), far_end) as call:
        await starts_to_answer(call)
        await asyncio.sleep(after)
        call.body.emit(SOUND(call.now))
        await asyncio.sleep(words_after)
        call.body.emit(ev.CallerWords("no wait, tomorrow please"))
        return await interruption(call)


async def stop_at_once(far_end: FarEnd, after: float) -> Interruption:
    """A key stops the voice with no sound before it."""
    async with live_call(a_world(), far_end) as call:
        await starts_to_answer(call)
        await asyncio.sleep(after)
        call.body.press("5")
        return await interruption(call)


# --- what was heard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("after", [0.0, 0.011, 0.1, 0.26, 0.5, 0.777, 1.0, 1.5, 2.04, 3.0, 4.5, 5.5])
def test_what_was_heard_is_exact_when_the_far_end_reports_what_it_played(late: float, after: float) -> None:
    cut = in_virtual_time(lambda: cut_in(FarEnd(delay=late, buffer=0.06), after))

    assert cut.row.exact
    assert cut.words == cut.true_words


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("after", [0.0, 0.1, 0.5, 0.777, 1.5, 3.0, 5.5])
def test_it_is_exact_even_when_nothing_held_the_voice_back_before(late: float, after: float) -> None:
    cut = in_virtual_time(lambda: stop_at_once(FarEnd(delay=late, buffer=0.06), after))

    assert cut.row.exact
    assert cut.words == cut.true_words


@pytest.mark.parametrize("late", [0.0, 0.05, 0.09])
@pytest.mark.parametrize("after", [0.0, 0.1, 0.5, 0.777, 1.5, 3.0, 5.5])
def test_it_is_estimated_within_a_word_when_the_far_end_never_reports(late: float, after: float) -> None:
    cut = in_virtual_time(lambda: cut_in(FarEnd(delay=late, buffer=0.05, answers_clear=False), after))

    assert not cut.row.exact
    assert abs(cut.words - cut.true_words) <= 1


@settings(max_examples=30)
@given(
    after=st.floats(0.0, STORY_SECONDS - 0.1),
    late=st.floats(0.0025, 0.04),
    buffer=st.floats(0.0, 0.1),
    words_after=st.floats(0.0, 1.0),
)
def test_it_is_exact_at_any_moment(after: float, late: float, buffer: float, words_after: float) -> None:
    cut = in_virtual_time(lambda: cut_in(FarEnd(delay=late, buffer=buffer), after, words_after=words_after))

    assert cut.row.exact
    assert cut.words == cut.true_words


def test_the_next_prompt_has_what_was_heard_even_if_the_far_end_has_not_reported_yet() -> None:
    async def work() -> World:
        world = a_world()
        async with live_call(world, FarEnd(answers_clear=False)) as call:
            await starts_to_answer(call)
            await asyncio.sleep(1.0)
            call.says("No, on Sunday please")
            await call.until("agent.reply_started", 3)
        return world

    world = in_virtual_time(work)

    remembered = [message.content for message in world.model.asked[1] if message.role == "assistant"]
    assert remembered[1].startswith("We open at")
    assert len(remembered[1].split()) < 8


def test_an_interruption_is_emitted_after_half_a_second_when_the_far_end_does_not_report() -> None:
    async def work() -> float:
        async with live_call(a_world(), FarEnd(answers_clear=False)) as call:
            await starts_to_answer(call)
            await asyncio.sleep(1.0)
            began = call.now
            call.body.press("5")
            await call.until("agent.interrupted")
            return call.now - began

    assert in_virtual_time(work) == pytest.approx(0.5, abs=0.01)


# --- holding the voice back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [True, False])
def test_the_voice_is_silent_within_the_delay_of_the_line(answers: bool) -> None:
    async def work() -> float:
        far_end = FarEnd(delay=0.03, answers_clear=answers)
        async with live_call(a_world(), far_end) as call:
            await starts_to_answer(call)
            await asyncio.sleep(1.0)
            call.body.emit(SOUND(call.now))
            await asyncio.sleep(0.031)
            before = far_end.heard_samples
            await asyncio.sleep(0.4)
            return far_end.heard_samples - before

    assert in_virtual_time(work) == 0


async def hold_back(far_end: FarEnd, pauses: list[tuple[float, float]]) -> LiveCall:
    """Pauses and resumes of the answer, each after so many seconds, until it ends."""
    async with live_call(a_world(), far_end) as call:
        await starts_to_answer(call)
        speech = call.rows_of("agent.reply_started")[-1].data["speech"]
        for speaks, rests in pauses:
            await asyncio.sleep(speaks)
            call.body._playback.pause(speech)
            await asyncio.sleep(rests)
            call.body._playback.resume(speech)
        await call.until("agent.finished", 2)
        await asyncio.sleep(0.3)
    return call


def assert_every_sample_was_heard_once(call: LiveCall) -> None:
    made = b"".join(utterance.audio for utterance in call.world.voice.of_call("call-1"))
    assert call.far_end.heard == made
    assert call.turns()[-1] == ("assistant", STORY)


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize(
    "pauses",
    [
        [(0.5, 1.0)],
        [(0.0, 0.7)],
        [(1.0, 0.0)],
        [(1.0, 0.01), (0.01, 0.01), (0.01, 0.01)],
        [(0.3, 0.6), (0.5, 0.05), (1.7, 2.0), (0.02, 0.3)],
        [(5.6, 0.5), (0.1, 0.5)],
    ],
)
def test_every_sample_is_heard_once_however_often_the_voice_is_held_back(
    late: float, pauses: list[tuple[float, float]]
) -> None:
    call = in_virtual_time(lambda: hold_back(FarEnd(delay=late, buffer=0.06), pauses))

    assert_every_sample_was_heard_once(call)


@settings(max_examples=20)
@given(
    pauses=st.lists(st.tuples(st.floats(0.0, 1.5), st.floats(0.0, 1.0)), min_size=1, max_size=5),
    late=st.floats(0.0025, 0.04),
    buffer=st.floats(0.0, 0.1),
)
def test_every_sample_is_heard_once_at_any_moment(
    pauses: list[tuple[float, float]], late: float, buffer: float
) -> None:
    call = in_virtual_time(lambda: hold_back(FarEnd(delay=late, buffer=buffer), pauses))

    assert_every_sample_was_heard_once(call)


def test_a_voice_that_is_held_back_after_its_last_frame_left_still_ends_when_it_has_been_heard() -> None:
    """Its mark was thrown away with the rest, so there is another."""
    far_end: list[FarEnd] = []

    async def work() -> LiveCall:
        far_end.append(FarEnd(delay=0.02, buffer=0.06))
        return await hold_back(far_end[0], [(STORY_SECONDS - 0.1, 1.0)])

    call = in_virtual_time(work)

    assert_every_sample_was_heard_once(call)
    assert [sent.value for sent in far_end[0].sends_of("mark")] == ["speech-1", "speech-2", "speech-2-2"]
    true_end = far_end[0].first_heard_at[-1] + TELEPHONE.seconds(bytes(far_end[0].stretches[-1].audio))
    finished = call.rows_of("agent.finished")[1].t
    assert call.began + finished == pytest.approx(true_end + 0.02, abs=0.002)


def test_a_far_end_that_never_reports_loses_no_more_than_its_buffer() -> None:
    far_end_of = {"delay": 0.02, "buffer": 0.05, "answers_clear": False}

    call = in_virtual_time(lambda: hold_back(FarEnd(**far_end_of), [(0.5, 0.7), (1.0, 0.7)]))  # type: ignore[arg-type]

    made = b"".join(utterance.audio for utterance in call.world.voice.of_call("call-1"))
    lost = TELEPHONE.seconds(made) - TELEPHONE.seconds(call.far_end.heard)
    assert 0 <= lost <= 2 * 0.05 + 0.001


def test_the_count_stays_true_after_an_answer_was_stopped() -> None:
    """What the far end plays in its whole life is counted, also across utterances that were cut."""

    async def work() -> Interruption:
        world = World(model=ScriptedModel(Answer("Let me tell you about it all. " + STORY), Answer(STORY)))
        async with live_call(world, FarEnd(delay=0.04, buffer=0.1)) as call:
            await starts_to_answer(call)
            await asyncio.sleep(1.2)
            call.body.emit(ev.CallerWords("no wait, tell me"))
            await call.until("agent.interrupted")
            begun = call.far_end.heard_samples
            call.says("When do you open then?")
            await call.until("agent.reply_started", 3)
            await asyncio.sleep(1.5)
            call.body.emit(SOUND(call.now))
            await asyncio.sleep(0.3)
            call.body.emit(ev.CallerWords("no wait, tomorrow please"))
            row = await call.until("agent.interrupted", 2)
            played = call.far_end.heard_samples - begun
            words = world.voice.of_call("call-1")[-1].words
            true = sum(int(word.start * TELEPHONE.sample_rate) < played for word in words)
            return Interruption(ev.AgentInterrupted(turn=row.turn or 0, **row.data), "", true)

    cut = in_virtual_time(work)

    assert cut.row.exact
    assert cut.words == cut.true_words


# --- stopping what has not been heard ---------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.05, 0.25, 0.4])
def test_an_answer_that_is_stopped_before_it_sounds_leaves_nothing_but_its_bill(after: float) -> None:
    async def work() -> LiveCall:
        async with live_call(a_world(), FarEnd()) as call:
            call.says("When do you open?")
            await call.until("turn.taken")
            await asyncio.sleep(after)
            call.body.emit(ev.CallerWords("no wait, tomorrow please"))
            await asyncio.sleep(0.1)
            running = [task.get_name() for task in asyncio.all_tasks() if ":speech:" in task.get_name()]
            assert running == []
            assert call.world.model.open_streams == 0
            assert not any(utterance.is_open for utterance in call.world.voice.of_call("call-1")[1:])
            assert call.rows_of("agent.interrupted") == []
        return call

    call = in_virtual_time(work)

    billed = [row for row in call.rows_of("provider.used") if row.data["provider"] == "openai"]
    assert len(billed) == 1
    assert TELEPHONE.samples(call.far_end.heard) == TELEPHONE.samples(call.world.voice.utterances[0].audio)


@pytest.mark.parametrize("after", [0.05, 0.3, 2.0])
def test_a_preemptive_answer_is_never_heard_when_the_caller_goes_on(after: float) -> None:
    async def work() -> LiveCall:
        async with live_call(a_world(), FarEnd()) as call:
            call.body.emit(ev.CallerTurnEndedEagerly("When do you"))
            await asyncio.sleep(after)
            call.body.emit(ev.CallerTurnResumed("When do you open"))
            await asyncio.sleep(0.2)
            assert call.world.model.open_streams == 0
        return call

    call = in_virtual_time(work)

    assert len(call.rows_of("agent.reply_started")) == 1
    assert [row.data["provider"] for row in call.rows_of("provider.used")].count("openai") == 1


def test_a_preemptive_answer_is_heard_at_once_when_the_turn_ends_as_expected() -> None:
    async def work() -> tuple[float, LiveCall]:
        async with live_call(a_world(), FarEnd()) as call:
            call.body.emit(ev.CallerTurnEndedEagerly("When do you open?"))
            await asyncio.sleep(2.0)
            assert len(call.rows_of("agent.reply_started")) == 1
            call.body.emit(ev.CallerTurnEnded("When do you open?", confidence=0.9))
            ended = call.now
            await call.until("agent.reply_started", 2)
            started = call.now - ended
            await call.until("agent.finished", 2)
        return started, call

    started, call = in_virtual_time(work)

    assert started < 0.01
    assert len(call.world.model.asked) == 1
    assert call.turns()[-1] == ("assistant", STORY)


@pytest.mark.parametrize("after", [0.1, 0.5, 2.0])
def test_a_caller_who_hangs_up_in_the_middle_leaves_a_complete_record(after: float) -> None:
    async def work() -> tuple[LiveCall, int]:
        async with live_call(
            a_world(), FarEnd(delay=0.0, answers_clear=False)
        ) as call:  # the far end is gone: nothing answers
            await starts_to_answer(call)
            await asyncio.sleep(after)
            call.body.leave("caller_hangup")
            await call.ended()
            return call, words_begun(call)

    call, true_words = in_virtual_time(work)

    assert call.rows[-1].type == "call.ended"
    [row] = call.rows_of("agent.interrupted")
    assert not row.data["exact"]
    assert abs(len(row.data["heard"].split()) - true_words) <= 1
    assert {row.data["provider"] for row in call.rows_of("provider.used")} >= {"openai", "cartesia"}
