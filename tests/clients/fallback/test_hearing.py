"""A chain that hears: who is asked, what they get, and when the first choice hears again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.clients.fallback.hearing import FallbackHearing
from app.clients.fallback.hearing_stream import FallbackStream
from app.errors import ProviderRejected, ProviderUnavailable
from app.models import Patience
from app.ports.streams import SpeechEvent, StreamLost, StreamRestored, TurnEnded, TurnUpdated
from tests.clients.fallback.ears import FORMAT, Ear, chain_of

VIRTUAL_TIME = True

QUESTION = "when do you open"
WRONG_KEY = ProviderRejected("first", "wrong key", status=401)


@asynccontextmanager
async def listening(hearing: FallbackHearing) -> AsyncIterator[tuple[FallbackStream, list[SpeechEvent]]]:
    events: list[SpeechEvent] = []

    async def follow(stream: FallbackStream) -> None:
        async for event in stream:
            events.append(event)

    async with hearing.listen(call_id="call-1", language="ru") as stream, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow(stream), name="follow")
        yield stream, events
        following.cancel()


async def line(stream: FallbackStream, seconds: float) -> None:
    for _ in range(round(seconds / 0.02)):
        stream.send(FORMAT.silence(160))
        await asyncio.sleep(0.02)


async def speak(stream: FallbackStream, seconds: float = 1.5) -> None:
    stream.note_sound(is_heard=True)
    await line(stream, seconds)
    stream.note_sound(is_heard=False)
    await line(stream, 0.5)


def turns(events: list[SpeechEvent]) -> list[tuple[str, str]]:
    return [(event.transcript.text, event.transcript.way) for event in events if isinstance(event, TurnEnded)]


async def test_the_first_choice_hears_alone_while_it_is_well() -> None:
    first, second = Ear("first"), Ear("second")
    async with listening(chain_of(first, second)) as (stream, events):
        await speak(stream)
        assert turns(events) == [(QUESTION, "first")]
        assert stream.provider == "first"
    assert second.streams == []
    assert not first.streams[0].is_open


async def test_the_next_link_gets_the_turn_from_its_beginning_and_its_patience() -> None:
    first, second = Ear("first"), Ear("second")
    async with listening(chain_of(first, second)) as (stream, events):
        await line(stream, 3.0)
        stream.set_patience(Patience.PATIENT)
        stream.note_sound(is_heard=True)
        await line(stream, 0.5)
        first.streams[0].loses(ProviderUnavailable("first", "cut"))
        await line(stream, 1.0)
        stream.note_sound(is_heard=False)
        await line(stream, 0.5)
        assert turns(events) == [(QUESTION, "second")]
    assert FORMAT.seconds(second.streams[0].audio) >= 2.0, "the turn, and what came before it"
    assert second.streams[0].patience[0] is Patience.PATIENT
    kinds = [type(event) for event in events if not isinstance(event, TurnUpdated)]
    assert kinds == [StreamLost, StreamRestored, TurnEnded]


async def test_a_link_that_hears_less_than_was_known_halves_no_turn() -> None:
    first, second = Ear("first"), Ear("second", text="when")
    async with listening(chain_of(first, second)) as (stream, events):
        await line(stream, 1.5)
        stream.note_sound(is_heard=True)
        await line(stream, 0.5)
        first.streams[0].loses(ProviderUnavailable("first", "cut"))
        await line(stream, 0.5)
        stream.note_sound(is_heard=False)
        await line(stream, 0.5)
        assert turns(events) == [(QUESTION, "second")]
    texts = {event.transcript.text for event in events if isinstance(event, TurnUpdated)}
    assert texts == {QUESTION}


async def test_speech_to_text_is_back_when_the_open_turn_is_heard_again() -> None:
    """Until then the rest of the caller's words may follow, so nobody may take the turn for complete."""
    first, second = Ear("first"), Ear("second")
    async with listening(chain_of(first, second)) as (stream, events):
        await line(stream, 1.5)
        stream.note_sound(is_heard=True)
        await line(stream, 0.5)
        second.hangs = True
        first.streams[0].loses(ProviderUnavailable("first", "cut"))
        await line(stream, 1.2)
        assert second.streams[0].is_open
        assert [type(event) for event in events] == [TurnUpdated, StreamLost]
        stream.note_sound(is_heard=False)
        await line(stream, 2.0)
        assert turns(events) == [(QUESTION, "first")]
    assert [type(event) for event in events[1:]] == [StreamLost, StreamRestored, TurnUpdated, TurnEnded]


async def test_a_link_that_says_nothing_while_the_caller_speaks_is_joined_by_the_next() -> None:
    first, second = Ear("first"), Ear("second")
    async with listening(chain_of(first, second)) as (stream, events):
        await line(stream, 1.5)
        first.hangs = True
        await speak(stream)
        assert turns(events) == [(QUESTION, "second")]
        charges = {charge.way: (charge.seconds, charge.served) for charge in stream.charges()}
    assert charges["first"][1] is False
    assert charges["second"][1] is True
    assert not first.streams[0].is_open, "who was late hears no longer"


async def test_a_link_that_is_down_is_not_asked_by_the_next_call() -> None:
    first, second = Ear("first", fails=WRONG_KEY), Ear("second")
    hearing = chain_of(first, second)
    for _ in range(2):
        async with listening(hearing) as (stream, events):
            await speak(stream)
            assert turns(events) == [(QUESTION, "second")]
    assert (len(first.streams), len(second.streams)) == (1, 2)


async def test_a_probe_and_not_a_caller_finds_out_that_the_first_choice_is_well_and_it_takes_over_in_a_pause() -> None:
    first, second = Ear("first", fails=WRONG_KEY), Ear("second")
    hearing = chain_of(first, second)
    async with listening(hearing) as (stream, events):
        await speak(stream)
        await line(stream, 1.0)
        assert await hearing.probe() == first.streams[-1].charges(), "it still fails"
        first.fails = None
        await line(stream, 4.0)
        await hearing.probe()
        await line(stream, 3.0)
        await speak(stream)
        assert turns(events) == [(QUESTION, "second"), (QUESTION, "first")]
    assert [stream.call_id for stream in first.streams] == ["call-1", "probe", "probe", "call-1"]


async def test_the_next_link_is_told_the_language_that_the_caller_was_last_heard_in() -> None:
    first, second = Ear("first"), Ear("second")
    async with listening(chain_of(first, second)) as (stream, _events):
        await speak(stream)
        first.streams[0].loses(WRONG_KEY)
        await line(stream, 0.5)
    assert [each.language for each in (*first.streams, *second.streams)] == ["ru", "en"]


async def test_hearing_is_down_when_every_link_is_and_well_when_one_of_them_is() -> None:
    first, second = Ear("first"), Ear("second", fails=WRONG_KEY)
    hearing = chain_of(first, second)
    assert not hearing.is_down, "nobody was asked yet"
    first.fails = WRONG_KEY
    async with listening(hearing) as (stream, _):
        await line(stream, 0.5)
        assert hearing.is_down
    first.fails = None
    assert not hearing.is_down, "its breaker knows better than the chain"
    first.fails = WRONG_KEY
    assert hearing.is_down
    second.fails = None
    await asyncio.sleep(2.0)
    await hearing.probe()
    assert not hearing.is_down


async def test_connections_that_are_lost_again_and_again_do_not_hear_until_one_has_lasted() -> None:
    ear = Ear("first")
    ear.hangs = True
    async with listening(chain_of(ear)) as (stream, events):
        await line(stream, 1.5)
        stream.note_sound(is_heard=True)
        for _ in range(5):
            ear.streams[0].loses(ProviderUnavailable("first", "cut"), final=False)
            await line(stream, 0.1)
            ear.streams[0].on_working()
            await line(stream, 0.4)
        told = [type(event) for event in events if isinstance(event, StreamLost | StreamRestored)]
        assert told in ([StreamLost, StreamRestored, StreamLost], [StreamLost])
        await line(stream, 1.6)
        assert isinstance(events[-1], StreamRestored)


async def test_vendors_that_cut_every_connection_at_once_are_asked_in_turn_with_pauses() -> None:
    first, second = Ear("first"), Ear("second")
    first.cuts = second.cuts = True
    async with listening(chain_of(first, second)) as (stream, _events):
        await speak(stream, 2.0)
    assert 2 < len(first.streams) + len(second.streams) <= 30


async def test_when_all_fail_the_call_is_told_and_all_are_asked_again() -> None:
    first, second = Ear("first", fails=WRONG_KEY), Ear("second", fails=WRONG_KEY)
    hearing = chain_of(first, second)
    async with listening(hearing) as (stream, events):
        await line(stream, 0.5)
        assert [event.final for event in events if isinstance(event, StreamLost)] == [False, True]
        assert hearing.is_down
        first.fails = second.fails = None
        await line(stream, 4.0)
        assert isinstance(events[-1], StreamRestored)
        await speak(stream)
        assert len(turns(events)) == 1


async def test_a_bug_of_a_stream_ends_the_iteration_with_it() -> None:
    first, second = Ear("first"), Ear("second")
    hearing = chain_of(first, second)
    async with hearing.listen(call_id="call-1") as stream:
        await line(stream, 0.1)
        first.streams[0]._events.put_nowait(None)  # type: ignore[arg-type]  # which no stream yields
        with pytest.raises(AttributeError):
            async for _event in stream:
                pass


async def test_a_recording_is_transcribed_by_the_first_link_that_can() -> None:
    first, second = Ear("first", fails=WRONG_KEY), Ear("second", text="call me back")
    assert (await chain_of(first, second).transcribe_batch(FORMAT.silence(800))).text == "call me back"
    second.fails = ProviderUnavailable("second", "cut")
    with pytest.raises(ProviderRejected):
        await chain_of(first, second).transcribe_batch(FORMAT.silence(800))
