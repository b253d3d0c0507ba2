"""The first lines of a call that hold its own values, voiced while the line still rings.

No earlier call can have prepared "Hello, Anna". So the voice is asked when the call begins, not when it is answered,
and the sound waits in a track. A line that was not taken when the call ends has cost its price all the same.
"""

import asyncio
from collections.abc import Callable, Iterable

from app.calls.live.speech_track import SpeechTrack
from app.calls.live.tts_synthesis import TtsSynthesis
from app.errors import ProviderError
from app.models import VoiceConfig
from app.ports.vendors import Charge, TextToSpeech


class VoicedLine:
    """A line that is being voiced, or has been."""

    def __init__(
        self, text: str, voice: VoiceConfig, tts: TextToSpeech, call_id: str, on_retry: Callable[[ProviderError], None]
    ) -> None:
        self.text = text
        self.track = SpeechTrack(voice.sample_rate)
        self.error: ProviderError | None = None
        """Why the voice has failed."""
        self.on_sound: Callable[[], None] = lambda: None
        """Called with each piece of sound, from when the line is taken."""
        self.synthesis = TtsSynthesis(
            tts, voice, self.track, call_id=call_id, on_sound=lambda: self.on_sound(), on_retry=on_retry
        )
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def start(self, tasks: asyncio.TaskGroup, name: str, on_charge: Callable[[Charge], None]) -> None:
        """Begin to voice it in a task of the group. ``on_charge`` is called with each charge at its end."""
        self.synthesis.say(self.text)
        self.synthesis.finish()
        self._task = tasks.create_task(self._run(), name=name)
        self._task.add_done_callback(lambda _: self._is_over(on_charge))

    async def wait(self) -> None:
        """Wait until all its sound is there. Raises ProviderError when the voice fails. When cancelled, stops it."""
        try:
            await self._over.wait()
        finally:
            if self._task is not None:
                self._task.cancel()
        if self.error is not None:
            raise self.error

    async def _run(self) -> None:
        try:
            await self.synthesis.run()
        except ProviderError as error:
            self.error = error

    def _is_over(self, on_charge: Callable[[Charge], None]) -> None:
        for charge in self.synthesis.charges():
            on_charge(charge)
        self._over.set()


class VoicedAhead:
    """The lines of one call that are voiced before they are said."""

    def __init__(
        self,
        tts: TextToSpeech,
        call_id: str,
        *,
        on_charge: Callable[[Charge], None],
        on_retry: Callable[[ProviderError], None],
    ) -> None:
        """``on_charge`` is called with what a line has cost, ``on_retry`` with a failure before another attempt."""
        self._tts = tts
        self._call_id = call_id
        self._on_charge = on_charge
        self._on_retry = on_retry
        self._lines: dict[tuple[str, VoiceConfig], VoicedLine] = {}

    async def voice(self, texts: Iterable[str], voice: VoiceConfig) -> None:
        """Voice them, all at once. When cancelled, stops what is not complete."""
        async with asyncio.TaskGroup() as tasks:
            for number, text in enumerate(texts):
                line = self._lines[text, voice] = VoicedLine(text, voice, self._tts, self._call_id, self._on_retry)
                line.start(tasks, f"{self._call_id}:opening:{number}", self._on_charge)

    def take(self, text: str, voice: VoiceConfig) -> VoicedLine | None:
        """The line, once; None when it was not voiced, or the voice has failed."""
        line = self._lines.pop((text, voice), None)
        return None if line is None or line.error is not None else line
