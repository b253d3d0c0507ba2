"""An utterance that is spoken piece of text by piece of text, each by a request of its own, without word times."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

from app.clients.resilient import Attempt
from app.errors import ProviderProtocolError, WrongSound
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio, VoiceEvent
from app.ports.vendors import Charge
from media.formats import AudioFormat

_FIRST_SECONDS = 5.0
"""For the first sound of a piece of text: by then the caller has been given a filler, or another voice."""
_GAP_SECONDS = 0.7
"""For each further sound, and how far the sound may fall behind the time in which it is heard."""
_LETTERS_PER_SECOND_MAX = 22.0
"""No voice speaks faster at normal speed; the average is 14."""
_LETTERS_PER_SECOND_MIN = 1.0
_DOUBT_SECONDS = 0.5
_ENDLESS_SECONDS = 30.0

SoundOf = Callable[[str], AsyncGenerator[bytes, None]]
"""The sound of a text, in whole samples. Raises ProviderError."""


class PiecewiseUtterance:
    """Text in by :meth:`say` and :meth:`finish`, sound out by iterating once.

    What is said while a request is under way goes out with the next. The sound that waits to be read is bounded by
    what one piece of text can take. The task with the name is one request; it ends with the iteration, or when the
    utterance is cancelled.
    """

    def __init__(
        self,
        sound_of: SoundOf,
        voice: VoiceConfig,
        *,
        attempt: Callable[[], AbstractAsyncContextManager[Attempt]],
        charge: Callable[[int], Charge],
        name: str,
    ) -> None:
        """``charge`` is told how many characters were sent."""
        self._sound_of = sound_of
        self._voice = voice
        self._format = AudioFormat(voice.encoding, voice.sample_rate)
        self._attempt = attempt
        self._charge = charge
        self._name = name
        self._text = ""
        self._news = asyncio.Event()
        self._finished = self._cancelled = False
        self._request: asyncio.Task[None] | None = None
        self._unread: deque[bytes] = deque()
        self._characters = 0

    def charges(self) -> list[Charge]:
        """What the vendor bills, cancelled or not; empty while nothing was sent."""
        return [self._charge(self._characters)] if self._characters else []

    async def say(self, text: str) -> None:
        """Speak this next, verbatim; never waits."""
        self._text += text
        self._news.set()

    async def finish(self) -> None:
        """There is no more text; the iteration ends with the sound of what was said."""
        self._finished = True
        self._news.set()

    def cancel(self) -> None:
        """The rest is not wanted: the iteration ends at once."""
        self._cancelled = True
        self._unread.clear()
        self._news.set()
        if self._request is not None:
            self._request.cancel()

    async def __aiter__(self) -> AsyncGenerator[VoiceEvent, None]:
        """Sound until all is spoken or cancelled. Raises ProviderError."""
        while text := await self._next_text():
            self._characters += len(text)
            self._request = asyncio.get_running_loop().create_task(self._ask(text), name=self._name)
            self._request.add_done_callback(lambda _request: self._news.set())
            try:
                while not self._cancelled and (self._unread or not self._request.done()):
                    if self._unread:
                        yield VoiceAudio(self._unread.popleft())
                        continue
                    self._news.clear()
                    await self._news.wait()
            finally:
                self._request.cancel()
                await asyncio.wait([self._request])
            if self._cancelled:
                return
            self._request.result()

    async def _next_text(self) -> str:
        """All that was said since the last request; empty when nothing more is to be spoken."""
        while not self._cancelled and not _letters(self._text):
            if self._finished:
                return ""
            self._news.clear()
            await self._news.wait()
        text, self._text = self._text, ""
        return "" if self._cancelled else text

    async def _ask(self, text: str) -> None:
        loop = asyncio.get_running_loop()
        began_at, sounded = None, 0.0
        async with self._attempt() as attempt, asyncio.timeout(_FIRST_SECONDS) as patience:
            async with aclosing(self._sound_of(text)) as pieces:
                async for piece in pieces:
                    now = loop.time()
                    began_at = began_at or now
                    sounded += self._format.seconds(piece)
                    patience.reschedule(min(now, began_at + sounded) + _GAP_SECONDS)
                    if not piece:
                        continue
                    attempt.answered()
                    if sounded > _ENDLESS_SECONDS + _letters(text) / _LETTERS_PER_SECOND_MIN:
                        raise WrongSound(self._charge(0).provider, "more sound than its text takes")
                    self._unread.append(piece)
                    self._news.set()
            self._check(text, sounded)

    def _check(self, text: str, seconds: float) -> None:
        fastest = _LETTERS_PER_SECOND_MAX * max(1.0, self._voice.speed)
        if not seconds or seconds < _letters(text) / fastest - _DOUBT_SECONDS:
            raise ProviderProtocolError(self._charge(0).provider, "the sound ended before its text")


def _letters(text: str) -> int:
    """How many letters and digits there are: how much can be heard."""
    return sum(map(str.isalnum, text))
