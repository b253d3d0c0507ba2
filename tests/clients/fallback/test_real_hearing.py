"""The chain that hears, with the real clients and production's patience, against the stand-ins: no word is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from app.clients.entry import ClientSetup
from app.clients.registry import VendorRegistry
from app.ports.streams import SpeechEvent, StreamLost, StreamRestored, Transcript, TurnEnded
from app.ports.vendors import SttOptions, SttStream
from media.formats import AudioFormat
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from sandbox.vendors.stage import Utterance
from tests.end_to_end.service import settings_for
from tests.sandbox.sounds import RATE, frames, silence, speech

LEAPING_TIME = True

PCM = AudioFormat("pcm_s16le", RATE)
QUESTION = "when do you open on weekdays"
SPOKEN_SECONDS = 1.4
SLOWER_SECONDS = 2.0
"""From the end of the caller's words until their turn has ended."""
FLUX_MODEL = "flux-general-multi"
FLUX, NOVA, INK = "deepgram-flux", "deepgram-nova", "cartesia-whisper"


@dataclass
class Call:
    """A caller who speaks in real time, and what is heard of them."""

    call_id: str
    sandbox: RunningSandbox
    stream: SttStream
    events: list[SpeechEvent] = field(default_factory=list)
    turns: list[tuple[Transcript, float]] = field(default_factory=list)
    """Each with how long after the caller's last sound it had ended."""
    silent_at: float = 0.0

    async def line(self, audio: bytes) -> None:
        for frame in frames(audio):
            self.stream.send(frame)
            await asyncio.sleep(0.02)

    async def says(self, text: str, seconds: float = SPOKEN_SECONDS) -> tuple[str, str]:
        """What was heard, and by whom."""
        self.sandbox.stage.call(self.call_id).expect(Utterance(text))
        turns = len(self.turns)
        self.stream.note_sound(is_heard=True)
        await self.line(speech(seconds))
        self.silent_at = asyncio.get_running_loop().time()
        await self.line(silence(0.2))
        self.stream.note_sound(is_heard=False)
        async with asyncio.timeout(8):
            while len(self.turns) == turns:
                await self.line(silence(0.1))
        transcript, late = self.turns[-1]
        assert late <= SLOWER_SECONDS, (self.call_id, late)
        return transcript.text, transcript.way

    async def follow(self) -> None:
        async for event in self.stream:
            self.events.append(event)
            if isinstance(event, TurnEnded):
                self.turns.append((event.transcript, asyncio.get_running_loop().time() - self.silent_at))

    @property
    def lost(self) -> list[StreamLost]:
        return [event for event in self.events if isinstance(event, StreamLost)]

    @property
    def served(self) -> set[str]:
        return {charge.way for charge in self.stream.charges() if charge.served}

    def restored(self) -> int:
        return sum(isinstance(event, StreamRestored) for event in self.events)


@asynccontextmanager
async def a_call(sandbox: RunningSandbox, name: str, model: str, tmp_path: Path) -> AsyncIterator[Call]:
    """A call with vendors of its own, so that no call knows what another has found out."""
    registry = VendorRegistry(ClientSetup(settings_for(tmp_path, sandbox)))
    hearing = registry.stt(SttOptions(model, "en", ("en",)), PCM)
    try:
        async with hearing.listen(call_id=name) as stream, asyncio.TaskGroup() as tasks:
            call = Call(name, sandbox, stream)
            following = tasks.create_task(call.follow(), name="follow")
            yield call
            following.cancel()
    finally:
        await registry.aclose()


async def down_from_the_first_second(call: Call) -> None:
    """Both families of the first vendor fail, so the other vendor hears."""
    await call.line(silence(2.0))  # the agent's greeting
    assert await call.says(QUESTION) == (QUESTION, INK), call.call_id
    assert await call.says("and on Sunday") == ("and on Sunday", INK), call.call_id
    assert {event.error.provider for event in call.lost} == {"deepgram"}
    assert not any(event.final for event in call.lost)
    assert call.restored() == len(call.lost)
    if call.call_id in NEVER_A_WORD:
        assert call.served == {INK}, call.call_id
    assert INK in call.served
    assert all(charge.cost is not None for charge in call.stream.charges())


async def heard_by(call: Call, way: str) -> None:
    assert await call.says(QUESTION) == (QUESTION, way), call.call_id
    assert call.served == {way}


async def noise(call: Call) -> None:
    """A sound without words leaves the first choice where it is."""
    call.sandbox.stage.call(call.call_id).expect(Utterance(""))
    call.stream.note_sound(is_heard=True)
    await call.line(speech(2.0))
    call.stream.note_sound(is_heard=False)
    await call.line(silence(0.5))
    await heard_by(call, FLUX)
    assert call.lost == []


async def some_way(call: Call) -> None:
    assert (await call.says(QUESTION))[0] == QUESTION, call.call_id
    assert (await call.says("and on Sunday"))[0] == "and on Sunday", call.call_id


async def one_word(call: Call) -> None:
    """It is over before anybody can know that the vendor does not hear it."""
    await call.line(silence(1.5))
    assert (await call.says("yes", 0.4))[0] == "yes", call.call_id


async def deaf_after_a_while(call: Call) -> None:
    """Its first connection has said something in the greeting; the fallback is asked when the sound is over."""
    await call.line(silence(6.0))
    assert await call.says("when do you open", 0.9) == ("when do you open", INK), call.call_id


async def nobody(call: Call) -> None:
    """The call is told when nobody hears, and when somebody hears again."""
    await call.line(silence(0.5))
    assert [event.final for event in call.lost] == [False, True]
    for fault in call.sandbox.stage.faults.listed():
        if fault.call_id == call.call_id:
            fault.after = 1_000_000
    await call.line(silence(3.5))
    assert isinstance(call.events[-1], StreamRestored)
    assert (await call.says(QUESTION))[0] == QUESTION


NEVER_A_WORD = ("hang", "unauthorized", "refuse", "rate_limit")
Scenario = tuple[str, list[Fault], Callable[[Call], Awaitable[None]]]


def down(name: str, kind: str, vendor: str = "deepgram", **more: Any) -> Fault:
    return Fault(vendor, kind, times=None, call_id=name, **more)  # type: ignore[arg-type]


def scenarios() -> dict[str, Scenario]:
    found: dict[str, Scenario] = {}
    for kind in (*NEVER_A_WORD, "error_event", "stall", "cut"):
        found[kind] = (FLUX_MODEL, [down(kind, kind)], down_from_the_first_second)
    for kind in ("hang", "unauthorized"):
        one, other = f"flux-{kind}", f"nova-{kind}"
        found[one] = (FLUX_MODEL, [down(one, kind, route="v2/listen")], partial(heard_by, way=NOVA))
        found[other] = ("nova-3", [down(other, kind, route="v1/listen")], partial(heard_by, way=FLUX))
    for kind in ("hang", "stall"):
        found[f"short-{kind}"] = (FLUX_MODEL, [down(f"short-{kind}", kind, after_items=0)], one_word)
        found[f"nova-short-{kind}"] = ("nova-3", [down(f"nova-short-{kind}", kind, after_items=0)], one_word)
    found["deaf"] = ("nova-3", [down("deaf", "stall", after_items=1)], deaf_after_a_while)
    for kind in ("slow", "garbage"):
        found[kind] = (FLUX_MODEL, [down(kind, kind)], some_way)
    cut = Fault("deepgram", "cut", call_id="once", after_items=3)
    found["once"] = (FLUX_MODEL, [cut], partial(heard_by, way=FLUX))
    found["noise"] = (FLUX_MODEL, [], noise)
    both = [down("nobody", "unauthorized"), down("nobody", "unauthorized", "cartesia")]
    found["nobody"] = (FLUX_MODEL, both, nobody)
    return found


async def test_no_word_is_lost_and_no_turn_is_late_whatever_a_vendor_does(tmp_path: Path) -> None:
    async def live(sandbox: RunningSandbox, name: str, scenario: Scenario) -> None:
        model, faults, acts = scenario
        for fault in faults:
            sandbox.stage.faults.add(fault)
        try:
            async with a_call(sandbox, name, model, tmp_path) as call:
                await acts(call)
        except BaseException as error:
            error.add_note(f"in the call {name}")
            raise

    async with running_sandbox() as sandbox, asyncio.TaskGroup() as tasks:
        for name, scenario in scenarios().items():
            tasks.create_task(live(sandbox, name, scenario), name=name)
