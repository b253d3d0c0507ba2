"""When what happens in a call in text.

While the model writes or a tool runs, time is real. At all other times the call leaps to whatever comes next: the end
of the agent's words, a deadline of the core, or the caller. The caller is asked when the agent has nothing to say and
waits for nothing but them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from app.calls.live.event_loop import EventQueue
from app.calls.text.caller import Action, HangsUp, Interrupts, OverAgent, Presses, Says, Silent, TextCaller
from app.calls.text.caller import spoken_seconds as seconds_of
from app.calls.text.clock import TextClock
from app.calls.text.speech import TextSpeech
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.deadlines import Deadline
from app.models import JournalRow

_LOOK_SECONDS = 0.02
"""How often to look whether what takes real time is done."""
_WAITS_FOR_CALLER = frozenset({Deadline.IDLE, Deadline.LIMIT, Deadline.MESSAGE, Deadline.STT_OUTAGE})
"""When nothing earlier than one of these is due, it is for the caller to say something."""
_WORDS_AFTER_SECONDS = 0.4
"""How long speech to text takes to its first words."""
_BETWEEN_KEYS_SECONDS = 0.2
_NOISE_SECONDS = 0.3
_ROUNDING_SECONDS = 1e-3
"""The clock counts milliseconds, and may be behind by a part of one after a leap."""
_EVENTS_MAX = 200
"""Events of one thing that the caller does. A text has a handful, and there is one for each key."""


class TextPace:
    """Gives the event loop of a call its next event."""

    def __init__(
        self,
        *,
        core: ConversationCore,
        events: EventQueue,
        clock: TextClock,
        speech: TextSpeech,
        caller: TextCaller,
        is_working: Callable[[], bool],
        rows: Callable[[], Sequence[JournalRow]],
    ) -> None:
        """``is_working`` says whether something runs that takes real time; ``rows`` returns the journal so far."""
        self._core = core
        self._events = events
        self._clock = clock
        self._speech = speech
        self._caller = caller
        self._is_working = is_working
        self._rows = rows
        self._coming: deque[tuple[float, ev.Event]] = deque(maxlen=_EVENTS_MAX)
        """What the caller does, with its time in call seconds."""
        self._quiet_until = 0.0
        self._asked_about: int | None = None
        """The utterance over which the caller has decided to speak, or not."""

    async def next_event(self, deadline: float) -> ev.Event | None:
        """The next event; None when the deadline, in call seconds, has come first."""
        while True:
            if len(self._events):
                return await self._events.next(self._clock.moment(deadline))
            if self._is_working():
                if (event := await self._in_real_time(deadline)) is not None:
                    return event
                if self._clock.call_seconds() >= deadline:
                    return None
                continue
            at = await self._next_time(deadline)
            if at is None:
                continue
            if at >= deadline:
                self._clock.leap_to(deadline)
                return None
            self._clock.leap_to(at)
            self._happen(at)

    async def _in_real_time(self, deadline: float) -> ev.Event | None:
        """The next event, if one comes within a moment."""
        ends_at = self._speech.ends_at
        if ends_at is not None and ends_at <= self._clock.call_seconds():
            self._speech.finish()
        soon = asyncio.get_running_loop().time() + _LOOK_SECONDS
        return await self._events.next(min(soon, self._clock.moment(deadline)))

    async def _next_time(self, deadline: float) -> float | None:
        """When something happens next, at the latest at the deadline; None if the caller has just decided that."""
        await self._decide_over_agent()
        times = [deadline]
        if self._coming:
            times.append(self._coming[0][0])
        if (ends_at := self._speech.ends_at) is not None:
            times.append(ends_at)
        if len(times) > 1 or self._speech.is_paused or not self._is_callers_turn():
            return min(times)
        if self._quiet_until > self._clock.call_seconds() + _ROUNDING_SECONDS:
            return min(deadline, self._quiet_until)
        with self._clock.stopped():
            action = await self._caller.next(self._rows())
        self._begin(action)
        return None

    def _happen(self, at: float) -> None:
        if self._coming and self._coming[0][0] <= at:
            self._events.emit(self._coming.popleft()[1])
        elif (ends_at := self._speech.ends_at) is not None and ends_at <= at:
            self._speech.finish()

    def _is_callers_turn(self) -> bool:
        return self._core.deadline_passed().name in _WAITS_FOR_CALLER

    async def _decide_over_agent(self) -> None:
        """Ask the caller once whether they say something over the words that play."""
        playing = self._speech.current
        if playing is None or playing[0] == self._asked_about:
            return
        self._asked_about, began, seconds = playing
        with self._clock.stopped():
            over = await self._caller.over_agent(self._rows(), seconds)
        if over is not None:
            self._speak_over(over, max(self._clock.call_seconds(), began + over.after_seconds))

    def _speak_over(self, over: OverAgent, at: float) -> None:
        if isinstance(over, Interrupts):
            self._speak(over.text, over.language, at)
        else:
            self._coming.append((at, ev.CallerSoundStarted(at)))
            self._coming.append((at + _NOISE_SECONDS, ev.CallerSoundStopped(at + _NOISE_SECONDS)))

    def _speak(self, text: str, language: str | None, at: float) -> None:
        """The sound of it, its words, and the end of the turn, as speech to text would report them."""
        words_at = at + _WORDS_AFTER_SECONDS
        ends_at = max(words_at, at + seconds_of(text))
        self._coming.extend(
            [
                (at, ev.CallerSoundStarted(round(at, 3))),
                (words_at, ev.CallerWords(text)),
                (ends_at, ev.CallerSoundStopped(round(ends_at, 3))),
                (ends_at, ev.CallerTurnEnded(text, language=language, last_voiced_t=round(ends_at, 3))),
            ]
        )

    def _begin(self, action: Action) -> None:
        now = self._clock.call_seconds()
        match action:
            case Says(text, language):
                self._speak(text, language, now)
            case Silent(seconds):
                self._quiet_until = now + seconds
            case Presses(digits):
                keys = enumerate(digits[:_EVENTS_MAX])
                self._coming.extend((now + index * _BETWEEN_KEYS_SECONDS, ev.CallerDtmf(key)) for index, key in keys)
            case HangsUp():
                self._events.emit(ev.CallerLeft())
