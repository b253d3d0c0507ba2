"""When a turn ends, by the recogniser alone and with the core: python -m bench.turn_ends

Plays a hundred turns of callers in Russian and in English (``bench.turn_set``), spoken by the sandbox's voice, to the
sandbox's recogniser, and measures when each turn is over. Alone: when the recogniser says so. With the core: when the
core, which knows what it has asked, takes the turn; the recogniser obeys what the core tells it. The detector, the
reader of the recogniser's messages and the core are those of the service. The clock is that of the sound, so nothing
waits.

A turn that is taken before its end is a false cut-off. For every other turn the bench counts the time from its end
until it is taken. Both figures depend on the recogniser's threshold (Flux) or silence (Nova), so the bench tries
several. The same seed gives the same turns and the same figures.
"""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, quantiles
from typing import Any, Protocol

import typer

from app.calls.live.voice_activity import CallerSounds
from app.clients.deepgram.flux_messages import FluxTurns
from app.clients.deepgram.messages import DeepgramOptions
from app.clients.deepgram.nova_messages import NovaTurns
from app.clients.deepgram.patience import FluxPatience
from app.clients.turn_assembly import TurnAssembly
from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.policy import CallPolicy
from app.models import Patience
from app.ports.streams import SpeechEvent, TurnEnded, TurnEndedEagerly, TurnResumed, TurnUpdated
from bench.turn_set import LANGUAGES, RATE, Turn, turns
from media.formats import AudioFormat
from media.vad import SoundStarted
from sandbox.vendors.deepgram.flux import FluxStream
from sandbox.vendors.deepgram.nova import NovaStream
from sandbox.vendors.deepgram.query import FluxQuery, NovaQuery
from sandbox.vendors.deepgram.stream import Stream
from sandbox.vendors.stage import Stage
from sandbox.vendors.wire import Message

_FORMAT = AudioFormat("pcm_s16le", RATE)
_FRAME_SECONDS = 0.02
_ASKED_T = 10.0
"""When the agent has asked, in call seconds; the caller's sound begins then."""
_CUT_OFF = 0.05
"""The share of false cut-offs at which to compare the waiting times."""
_THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
_SILENCES_MS = (250, 500, 1000, 1500, 2000)


def main(seed: int = 1, seeds: int = 1, by_kind: bool = False) -> None:
    """Print the tables, for a hundred turns of each language and seed."""
    asyncio.run(_measure(seed, seeds, by_kind=by_kind))


class _Recogniser:
    """The sandbox's stream, and the client's reader of its messages."""

    def __init__(self, turn: Turn, vendor: str, setting: float) -> None:
        self._messages: list[Message] = []
        self._patience: FluxPatience | None = None
        self.wanted = Patience.NORMAL
        stage = Stage(profile="typical")
        stage.call("turn").expect(turn.script)
        self._reader: TurnAssembly
        self._stream: Stream
        if vendor == "flux":
            options = DeepgramOptions(eot_threshold=setting, eager_eot_threshold=0.5)
            self._patience, self._reader = FluxPatience(options), FluxTurns(None)
            query = FluxQuery("flux-general-multi", "pcm_s16le", RATE, "turn", (), (), 0.5, setting, 5.0)
            self._stream = FluxStream(query, stage, self._keep)
        else:
            self._reader = NovaTurns(None)
            silence = setting / 1000
            end = max(1.0, silence + 0.1)
            nova = NovaQuery("nova-3", "pcm_s16le", RATE, "turn", turn.language, True, True, False, silence, end)
            self._stream = NovaStream(nova, stage, self._keep)

    async def hear(self, frame: bytes, now: float) -> list[SpeechEvent]:
        """Pass a frame to the recogniser. Returns what it says."""
        text = self._patience.next_message(self.wanted, now) if self._patience else None
        if text is not None:
            await self._stream.obey(json.loads(text))
        await self._stream.hear(frame)
        messages, self._messages = self._messages, []
        events: list[SpeechEvent] = []
        for message in messages:
            if self._patience is not None:
                self._patience.note(message)
            heard = self._reader.read(message, float)
            events += heard.events if heard else ()
        return events

    async def _keep(self, message: Message, *, beat: bool = False) -> None:
        self._messages.append(message)


class _Decider(Protocol):
    """Says when the turn is over."""

    def frame(self, frame: bytes, events: Iterable[SpeechEvent], now: float) -> bool:
        """Take a frame, and what the recogniser said about it. Returns whether the turn is over."""

    @property
    def patience(self) -> Patience:
        """What to tell the recogniser."""


class _Alone:
    patience = Patience.NORMAL

    def frame(self, frame: bytes, events: Iterable[SpeechEvent], now: float) -> bool:
        return any(isinstance(event, TurnEnded) and event.transcript.text for event in events)


class _WithCore:
    def __init__(self, turn: Turn) -> None:
        self.patience = Patience.NORMAL
        self._sounds = CallerSounds(_FORMAT)
        self._core = ConversationCore(CallPolicy(), turn.language)
        self._is_over = False
        self._words = ""
        (greeting,) = [each for each in self._core.handle(ev.CallAnswered(), 0.0) if isinstance(each, cmd.Say)]
        at = greeting.turn, greeting.utterance
        self._handle(ev.AgentReplyStarted(*at, "greeting"), 1.0)
        self._handle(ev.AgentReplyGenerated(*at, turn.question), 1.0)
        self._handle(ev.AgentClauseStarted(*at, turn.question, 0), 1.0)
        self._handle(ev.AgentFinished(*at, turn.question, turn.question), _ASKED_T - 0.5)

    def frame(self, frame: bytes, events: Iterable[SpeechEvent], now: float) -> bool:
        for sound in self._sounds.feed(frame, now - _ASKED_T):
            at = _ASKED_T + sound.at_sample / RATE
            started = isinstance(sound, SoundStarted)
            self._handle(ev.CallerSoundStarted(at) if started else ev.CallerSoundStopped(at), now)
        for event in events:
            self._hear(event, now)
        while (due := self._core.next_deadline()) is not None and due <= now:
            self._handle(self._core.deadline_passed(), now)
        return self._is_over

    def _hear(self, event: SpeechEvent, now: float) -> None:
        last_voiced_t = _ASKED_T + self._sounds.last_sound_sample / RATE
        match event:
            case TurnUpdated(said) if said.text and said.text != self._words:
                self._words = said.text
                self._handle(ev.CallerWords(said.text, confidence=said.confidence), now)
            case TurnEndedEagerly(said):
                self._handle(ev.CallerTurnEndedEagerly(said.text, said.language, confidence=said.confidence), now)
            case TurnResumed(said):
                self._handle(ev.CallerTurnResumed(said.text), now)
            case TurnEnded(said):
                self._handle(ev.CallerTurnEnded(said.text, said.confidence, said.language, last_voiced_t), now)

    def _handle(self, event: Any, now: float) -> None:
        for command in self._core.handle(event, now):
            match command:
                case cmd.SetPatience(patience):
                    self.patience = patience
                case cmd.Record(ev.TurnTaken()):
                    self._is_over = True


@dataclass(frozen=True, slots=True)
class _Ending:
    turn: Turn
    waiting: float
    """Seconds from the end of the turn until it was taken; negative when it was cut off."""


async def _end(turn: Turn, decider: _Decider, vendor: str, setting: float, sound: tuple[bytes, float]) -> _Ending:
    audio, end = sound
    recogniser = _Recogniser(turn, vendor, setting)
    size = round(_FRAME_SECONDS * RATE) * 2
    for start in range(0, len(audio), size):
        frame = audio[start : start + size]
        at = (start + len(frame)) / 2 / RATE
        recogniser.wanted = decider.patience
        if decider.frame(frame, await recogniser.hear(frame, _ASKED_T + at), _ASKED_T + at):
            return _Ending(turn, at - end)
    return _Ending(turn, len(audio) / 2 / RATE - end)


async def _measure(seed: int, count: int, *, by_kind: bool) -> None:
    seeds = range(seed, seed + count)
    for language in LANGUAGES:
        spoken = [(turn, turn.sound()) for each in seeds for turn in turns(language, each)]
        for vendor, settings in (("flux", _THRESHOLDS), ("nova", _SILENCES_MS)):
            print(f"\n{language}, {vendor}: {len(spoken)} turns, seeds {seeds[0]} to {seeds[-1]}")
            print(f"{'':>12}{'alone: cut off, waiting':>34}{'with the core: cut off, waiting':>34}")
            alone: list[list[_Ending]] = []
            core: list[list[_Ending]] = []
            for setting in settings:
                alone.append([await _end(turn, _Alone(), vendor, setting, sound) for turn, sound in spoken])
                core.append([await _end(turn, _WithCore(turn), vendor, setting, sound) for turn, sound in spoken])
                print(f"{setting:>12g}{_summary(alone[-1]):>34}{_summary(core[-1]):>34}")
                if by_kind:
                    _print_kinds(alone[-1], core[-1])
            told = [f"{name} {_at_limit(ends)}" for name, ends in (("alone", alone), ("with the core", core))]
            print(f"at {_CUT_OFF:.0%} cut off, mean waiting: {', '.join(told)}")


def _print_kinds(alone: list[_Ending], core: list[_Ending]) -> None:
    for kind in dict.fromkeys(each.turn.kind for each in alone):
        both = [_summary([each for each in ends if each.turn.kind == kind]) for ends in (alone, core)]
        print(f"{kind:>12}{both[0]:>34}{both[1]:>34}")


def _at_limit(endings: list[list[_Ending]]) -> str:
    """The mean waiting time where the curve over all settings crosses the limit, with straight lines in between."""
    points = [(_cut_off(each), _mean_waiting(each)) for each in endings]
    for (more, before), (fewer, after) in pairwise(points):
        if more > _CUT_OFF >= fewer:
            return f"{before + (after - before) * (more - _CUT_OFF) / (more - fewer):.2f} s"
    least = min(share for share, _ in points)
    return f"never (at least {least:.1%})" if least > _CUT_OFF else f"{points[0][1]:.2f} s"


def _cut_off(endings: list[_Ending]) -> float:
    return sum(each.waiting < 0 for each in endings) / len(endings)


def _mean_waiting(endings: list[_Ending]) -> float:
    return mean([each.waiting for each in endings if each.waiting >= 0] or [0.0])


def _summary(endings: list[_Ending]) -> str:
    waits = [each.waiting for each in endings if each.waiting >= 0]
    if len(waits) < 2:
        return f"{_cut_off(endings):.0%}"
    cuts = quantiles(waits, n=20)
    return f"{_cut_off(endings):.0%}, {mean(waits):.2f} ({cuts[9]:.2f} / {cuts[18]:.2f})"


if __name__ == "__main__":
    typer.run(main)
