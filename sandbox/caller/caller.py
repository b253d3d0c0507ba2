"""A simulated caller: plays a score over a line, in real time, with real sound.

As on a telephone, a frame contains the sound of the 20 ms before it is sent. So the caller has finished speaking by the
time their last frame leaves.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from wave import Error as WaveError
from wave import open as open_wave

import httpx
import numpy as np
import soxr

from sandbox.caller.call import CallInProgress
from sandbox.caller.control_client import ControlClient
from sandbox.caller.echo_path import EchoReturn
from sandbox.caller.events import CallerEvent, Connected, Ended, Ready
from sandbox.caller.line import Line
from sandbox.caller.media_client import CallFailed, MediaSession, media_socket, open_session
from sandbox.caller.microphone import Microphone, Sound, SoundMaker
from sandbox.caller.report import CallReport
from sandbox.caller.score import Backchannels, Coughs, Improvises, Interrupts, Overhears, Says, Score, Step
from sandbox.carrier.telephone import Telephone
from sandbox.vendors.voice import Speech, SpokenWord

Speak = Callable[[str, str, int], bytes | Speech]
"""``speak(text, language, sample_rate)`` returns 16-bit little-endian mono samples, with or without the times of
the words. Runs in a thread, one at a time."""

_OTHER_VOICE = 0.8
"""Another voice is the same one, recorded at this share of the rate: a third higher."""


class Caller:
    """Makes any number of calls, in sequence or at once. An async context manager.

    With ``sandbox_url`` the caller posts the words of every utterance, and the score's scripted replies, to the
    sandbox's control interface, because the stand-ins cannot recognise speech. None: to the one that the service
    names, or real vendors listen. With ``sandbox_listens`` the sandbox recognises what it hears; ``speak`` must then
    time its words.
    """

    def __init__(
        self,
        service_url: str,
        speak: Speak,
        *,
        sandbox_url: str | None = None,
        sandbox_listens: bool = False,
        api_key: str | None = None,
        telephone: Telephone | None = None,
        on_event: Callable[[CallerEvent], None] | None = None,
        longest_call_seconds: float = 600.0,
    ) -> None:
        self._service_url = service_url
        self._sandbox_url = sandbox_url
        self._api_key = api_key
        self._speak = speak
        self._telephone = telephone or Telephone()
        self._emit = on_event or (lambda _event: None)
        self._longest_call = longest_call_seconds
        encrypted = any(url and url.startswith("https:") for url in (service_url, sandbox_url))
        self._http = httpx.AsyncClient(
            verify=encrypted,  # without an https address no certificates are needed, and loading them is slow
            timeout=10.0,
            trust_env=False,
            # A connection that a server closes as idle may be used at that moment, and the request is lost.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )
        self._listens_at = self._telephone.format.sample_rate if sandbox_listens else None
        self._sound_maker = SoundMaker(self._telephone.format, self._telephone.noise_dbfs, self._telephone.noise)
        self._spoken: dict[tuple[str, str, float | None], Sound] = {}
        self._voice = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def call(
        self,
        score: Score,
        *,
        number: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        agent: str | None = None,
        variables: Mapping[str, Any] | None = None,
        improvises: Improvises | None = None,
        is_synthetic: bool = False,
    ) -> CallReport:
        """Play the score until it is over or the agent ends the call.

        Raises CallFailed; if the call had begun, the exception's ``report`` says how far it got. ``metadata`` is sent
        together with the score's ``language``, which the service may use as a hint; ``agent`` is the name of the agent
        to call, and ``variables`` are values for it. ``improvises`` goes on when the score is over.
        ``is_synthetic`` keeps the call out of the service's figures.
        """
        sounds = await self._sounds(score)
        body: dict[str, Any] = {"metadata": {"language_hint": score.language, **(metadata or {})}}
        asked = {"caller": number, "agent": agent, "variables": variables, "synthetic": is_synthetic or None}
        body |= {name: value for name, value in asked.items() if value is not None}
        session = await open_session(self._http, self._service_url, body, self._api_key)
        return await self._call_by(session, score, sounds, improvises)

    async def call_by(self, session: MediaSession, score: Score) -> CallReport:
        """As :meth:`call`, by a session that somebody else has opened."""
        return await self._call_by(session, score, await self._sounds(score), None)

    async def _call_by(
        self, session: MediaSession, score: Score, sounds: dict[Step, Sound], improvises: Improvises | None
    ) -> CallReport:
        self._emit(Connected(session.call_id))
        control = await self._prompted(session.call_id, score, sounds, session.sandbox_url)
        async with media_socket(session, self._telephone.format, events=True) as client:
            call = await self._play(score, sounds, client, control, improvises)
        return self._outcome(call)

    async def call_through(self, score: Score, dial: Callable[[], AbstractAsyncContextManager[Line]]) -> CallReport:
        """As :meth:`call`, over another kind of line; ``dial`` yields it once it is answered."""
        sounds = await self._sounds(score)
        async with dial() as line:
            self._emit(Connected(line.call_id))
            control = await self._prompted(line.call_id, score, sounds)
            call = await self._play(score, sounds, line, control)
        return self._outcome(call)

    async def _prompted(
        self, call_id: str, score: Score, sounds: Mapping[Step, Sound], sandbox_url: str | None = None
    ) -> ControlClient:
        """The call's control, and what the sandbox is to know before the call begins."""
        behind = self._sandbox_url or sandbox_url
        control = ControlClient(self._http, behind, call_id, listens_at=self._listens_at)
        await control.script_replies(score.replies)
        for sound in sounds.values():
            await control.teach(sound, score.language)
        return control

    async def _play(
        self,
        score: Score,
        sounds: dict[Step, Sound],
        line: Line,
        control: ControlClient,
        improvises: Improvises | None = None,
    ) -> CallInProgress:
        self._emit(Ready(line.ready_at))
        path, sound_format = self._telephone.echo, self._telephone.format
        echo = None if path is None else EchoReturn(path, sound_format.sample_rate)
        microphone = Microphone(self._sound_maker.background, sound_format, echo)

        async def sound_of(step: Step) -> Sound | None:
            if step not in sounds and (sound := await self._sound(step, score.language)) is not None:
                sounds[step] = sound
                await control.teach(sound, score.language)
            return sounds.get(step)

        call = CallInProgress(score, sound_of, microphone, self._telephone, line, control, self._emit, echo, improvises)
        try:
            async with asyncio.timeout(self._longest_call):
                await call.run()
        except TimeoutError:
            call.failure = CallFailed(f"score {score.name!r}: not over after {self._longest_call:g} s")
        return call

    def _outcome(self, call: CallInProgress) -> CallReport:
        report = call.report()
        self._emit(Ended(report.ended_at, report.ended_by, report.end_reason))
        if call.failure:
            call.failure.report = report
            raise call.failure
        return report

    async def _sounds(self, score: Score) -> dict[Step, Sound]:
        """The sound of every step that has one."""
        sounds = {step: await self._sound(step, score.language) for step in score.steps}
        return {step: sound for step, sound in sounds.items() if sound is not None}

    async def _sound(self, step: Step, language: str) -> Sound | None:
        match step:
            case Says(sound=str(path)) | Interrupts(sound=str(path)) | Backchannels(sound=str(path)):
                return await asyncio.to_thread(self._own_sound, Path(path))
            case Says() | Interrupts() | Backchannels():
                return await self._speech(step.text, step.language or language)
            case Overhears(loss_db=loss_db):
                return await self._speech(step.text, step.language or language, loss_db)
            case Coughs(seconds=seconds, kind=kind):
                return self._sound_maker.burst(kind, seconds)
            case _:
                return None

    def _own_sound(self, path: Path) -> Sound:
        """The sound of a mono WAV file of 16 bits. Raises CallFailed."""
        rate = self._telephone.format.sample_rate
        try:
            with open_wave(str(path), "rb") as wav:
                recorded, samples = wav.getframerate(), np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2")
        except (OSError, EOFError, WaveError) as error:
            raise CallFailed(f"{path} is no sound that can be played: {error}") from error
        made = soxr.resample(samples, recorded, rate) if recorded != rate else samples
        return self._sound_maker.sound(made.astype(np.int16))

    async def _speech(self, text: str, language: str, loss_db: float | None = None) -> Sound:
        """In the caller's voice or, with a loss, in that of somebody farther away."""
        rate, of_other = self._telephone.format.sample_rate, loss_db is not None
        async with self._voice:
            if (text, language, loss_db) not in self._spoken:
                recorded_at = round(rate * _OTHER_VOICE) if of_other else rate
                spoken = await asyncio.to_thread(self._speak, text, language, recorded_at)
                speech = spoken if isinstance(spoken, Speech) else Speech(spoken, ())
                words = [_hastened(word, recorded_at / rate) for word in speech.words]
                samples = np.frombuffer(speech.pcm, dtype="<i2").astype(np.int16)
                self._spoken[text, language, loss_db] = self._sound_maker.sound(samples, words, loss_db=loss_db or 0.0)
            return self._spoken[text, language, loss_db]


def _hastened(word: SpokenWord, share: float) -> SpokenWord:
    return SpokenWord(word.text, word.start * share, word.end * share)
