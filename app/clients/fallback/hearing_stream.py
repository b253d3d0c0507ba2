"""One call's speech, heard by a chain of recognisers: the first to report words hears the turn.

::

    first choice   |== words ==| lost ..x
    second                     |--- replay of the open turn, no words in time ---x
    third                                  |--- replay ---|== words ==|== words == ...

Every recogniser that is asked gets the open turn from its beginning, or the last ten seconds of it. What was recognised
before those stays as it was. When a better link is well again, it takes over between two turns.
"""

import asyncio
import math
from collections.abc import Sequence
from functools import partial
from typing import Self

import structlog

from app.clients.entry import SttSession
from app.clients.fallback.chain import Chain
from app.clients.fallback.hearing_link import Listener, SttLink
from app.clients.fallback.open_turn import before, behind, is_shorter, with_rest_of
from app.clients.fallback.race import FallbackFailed
from app.clients.replay_buffer import ReplayBuffer
from app.clients.stream_state import Events
from app.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from app.models import Patience
from app.ports.priority import Priority, context_at, current_priority
from app.ports.streams import (
    SpeechEvent,
    StreamLost,
    StreamRestored,
    Transcript,
    TurnEnded,
    TurnEndedEagerly,
    TurnResumed,
    TurnUpdated,
)
from app.ports.vendors import Charge, add_up
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.1
_OWN_DELAY_SECONDS = 0.05
"""An event loop that is later than this has kept the vendors' messages waiting, too."""
_CATCH_UP_SECONDS = 0.1
_RARELY_SECONDS = 1.0
"""How often to look while nothing is going on, but the first choice does not hear, and to ask it whether it does."""
_ORPHAN_SECONDS = 1.5
"""How long a link may take to report a turn that began with another. After that the turn has ended."""
_QUIET_SECONDS = 2.0
"""After this much silence, links that were asked in vain are given up: the sound was no speech."""
_KEPT_SECONDS = 10.0
_UNANSWERED_SECONDS = 4.0
"""After this much silence, no link will find words in the last sound any more."""
_LEAD_SECONDS = 1.0
"""How much audio is kept while nobody speaks: the beginning of a sound is noticed late."""
_REST_SECONDS = 0.2
"""Two vendors that take connections only to cut them would be asked in turn, without end and without a pause."""
_AGAIN_SECONDS = 2.0
"""When every link has failed, all are asked again after this time."""

_Chain = Chain[SttSession]
_TurnEvent = TurnUpdated | TurnEndedEagerly | TurnResumed | TurnEnded


class FallbackStream:
    """The caller's speech as events. Use it as an async context manager, and iterate it once.

    Task ledger: ``{call}:hear`` looks after the links, ``{call}:hear:{link}`` reads what one of them hears. It ends
    with the link's stream, or when another link hears in its place; all end with the context.
    """

    def __init__(
        self, chain: _Chain, links: Sequence[SttLink], audio_format: AudioFormat, *, call_id: str, language: str | None
    ) -> None:
        self._chain = chain
        self._links = tuple(links)
        self._format = audio_format
        self._call_id, self._language = call_id, language
        capacity = round(_KEPT_SECONDS * audio_format.sample_rate)
        self._audio = ReplayBuffer(sample_bytes=audio_format.sample_bytes, capacity=capacity)
        self._events = Events()
        self._changed = asyncio.Event()
        self._running: list[Listener] = []
        self._ending: list[Listener] = []
        self._waiting: list[SttLink] = []
        """The links to ask next."""
        self._rest_until: dict[str, float] = {}
        """When a link that was lost may be asked again, by its name."""
        self._speaker: Listener | None = None
        """The link whose words count."""
        self._sound_on = False
        self._quiet_since = -math.inf
        self._patience = Patience.NORMAL
        self._latest: Transcript | None = None
        """The words of the open turn; None while there is none."""
        self._known: Transcript | None = None
        """What was known of it when another connection began to hear it again; None when that one has caught up."""
        self._ended_eagerly: Listener | None = None
        """The link that has reported an eager end of the open turn."""
        self._orphaned_at: float | None = None
        """Since when a link works that has not reported the open turn, which another connection began."""
        self._lost_at: float | None = None
        """When the outage that was announced began."""
        self._given_up = False
        self._again_at = 0.0
        self._return_at = -math.inf
        self._error: ProviderError = ProviderUnavailable("nobody", "no link can hear")
        self._spent: list[Charge] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._bug: BaseException | None = None

    def __repr__(self) -> str:
        return f"<FallbackStream {', '.join(listener.link.name for listener in self._running)}>"

    @property
    def provider(self) -> str:
        """The vendor that hears now."""
        return self._speaker.stream.provider if self._speaker is not None else self._links[0].client.provider

    @property
    def dropped_seconds(self) -> float:
        """Seconds of audio that the link that hears now has dropped."""
        return self._speaker.stream.dropped_seconds if self._speaker is not None else 0.0

    def charges(self) -> list[Charge]:
        """What each link has cost; ``served`` marks those whose words were used."""
        charges = add_up(
            [*self._spent, *(charge for each in [*self._ending, *self._running] for charge in each.charges())]
        )
        return [charge for charge in charges if charge.seconds] or charges[:1]

    async def __aenter__(self) -> Self:
        self._begin_race()
        self._keep(asyncio.get_running_loop().create_task(self._watch(), name=f"{self._call_id}:hear"))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        self._events.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpeechEvent:
        event = await self._events.next()
        if event is not None:
            return event
        if self._bug is not None:
            raise self._bug
        raise StopAsyncIteration

    def send(self, audio: bytes) -> None:
        """Give the audio to all links that are asked. Does not wait."""
        self._audio.append(audio)
        self._audio.take(self._audio.capacity)
        for listener in self._running:
            listener.stream.send(audio)
        if not self._is_awaited():
            self._audio.acknowledge(self._audio.end - round(_LEAD_SECONDS * self._format.sample_rate))

    def note_sound(self, *, is_heard: bool) -> None:
        """Note that the caller has started or stopped making sound."""
        self._sound_on, self._quiet_since = is_heard, self._now()
        for listener in self._running:
            listener.stream.note_sound(is_heard=is_heard)
        self._changed.set()

    def set_patience(self, patience: Patience) -> None:
        """How long to wait for more in a pause."""
        self._patience = patience
        for listener in self._running:
            listener.stream.set_patience(patience)

    # --- the links --------------------------------------------------------------------------------------------------

    def _begin_race(self) -> None:
        self._waiting = self._order()
        self._ask(self._waiting.pop(0))

    def _order(self) -> list[SttLink]:
        return [link for link in self._chain.order() if isinstance(link, SttLink)]

    def _ask(self, link: SttLink) -> None:
        """Have a link hear the open turn from its beginning, and everything from now on."""
        self._audio.rewind()
        piece = self._audio.take(self._audio.capacity)
        offset = (self._audio.end if piece is None else piece.start) / self._format.sample_rate
        stream = link.client.listen(call_id=self._call_id, language=self._language)
        listener = Listener(link, stream, self._now(), offset, before(self._latest, offset))
        stream.on_working.add(partial(self._works, listener))
        stream.set_patience(self._patience)
        if self._is_awaited():  # the sound that it is sent now may be over, and its words are owed all the same
            stream.note_sound(is_heard=True)
        stream.note_sound(is_heard=self._sound_on)
        if piece is not None:
            stream.send(piece.audio)
        context = context_at(Priority.HEDGE if self._running else current_priority())
        self._running.append(listener)
        if self._speaker is None:
            self._speaker = listener
        name = f"{self._call_id}:hear:{link.name}"
        following = asyncio.get_running_loop().create_task(self._follow(listener), name=name, context=context)
        listener.tasks.append(self._keep(following))

    async def _follow(self, listener: Listener) -> None:
        async with listener.stream as stream:
            async for event in stream:
                match event:
                    case StreamLost(error, final):
                        self._lost(listener, error, final=final)
                    case StreamRestored():
                        self._works(listener)
                    case _:
                        self._heard(listener, event)

    def _retire(self, listener: Listener) -> None:
        """The link hears the call no longer. Its charges are final when its task has ended."""
        if listener not in self._running:
            return
        self._running.remove(listener)
        self._ending.append(listener)
        (task,) = listener.tasks
        task.add_done_callback(lambda _task: self._add_charges(listener))
        if task is not asyncio.current_task():
            task.cancel()

    def _add_charges(self, listener: Listener) -> None:
        self._ending.remove(listener)
        self._spent = add_up([*self._spent, *listener.charges()])

    def _lost(self, listener: Listener, error: ProviderError, *, final: bool) -> None:
        """A link has lost its connection, and tries again unless the loss is final."""
        if not listener.is_lost:
            listener.lost_at = self._now()
        self._error, listener.is_lost = error, True
        self._rest_until[listener.link.name] = self._now() + _REST_SECONDS
        listener.losses += 1
        self._note(listener, error)
        speaker = self._speaker
        if listener is speaker:
            self._known = self._latest
            self._announce(error)
            others = [each for each in self._running if each.works and not each.is_lost and each is not listener]
            if others:
                self._switch(others[0])
        elif speaker is not None and speaker.works and not (speaker.is_lost or speaker.is_late):
            self._retire(listener)  # it was to take over from one that is well
            self._return_at = self._now() + _RARELY_SECONDS  # a vendor that refuses at once would be asked without end
        if final:
            self._retire(listener)
        self._changed.set()

    def _works(self, listener: Listener) -> None:
        """A link has a connection that works: it takes over from one that has none, and in a pause from a worse one."""
        listener.works, listener.is_lost, listener.is_late = True, False, False
        speaker = self._speaker
        if listener not in self._running:
            return
        if listener is speaker:
            if self._lost_at is not None:
                self._orphan()
            if not listener.is_unsteady:
                self._restored()
                self._retire_others()
            return
        is_gone = speaker is None or speaker not in self._running or speaker.is_lost
        if is_gone or (speaker is not None and speaker.is_late and not speaker.works) or self._may_return():
            self._switch(listener)

    def _heard(self, listener: Listener, event: _TurnEvent) -> None:
        has_words = bool(event.transcript.text)
        if listener not in self._running or (listener is not self._speaker and not has_words):
            return
        if listener is not self._speaker:
            if self._speaker_is_well() and not isinstance(event, TurnEnded) and self._is_behind(listener, event):
                return
            self._switch(listener)
        if has_words:
            listener.served, listener.works, listener.is_late = True, True, self._owes_for_long(listener)
            if not (listener.is_unsteady or listener.is_late):
                self._retire_others()
        self._pass_on(listener, event)

    def _is_behind(self, listener: Listener, event: _TurnEvent) -> bool:
        """Whether the link has not come as far in the turn as the one that hears."""
        return self._latest is not None and is_shorter(behind(listener, event.transcript), self._latest)

    def _with_known_words(self, heard: Transcript) -> Transcript:
        """The transcript, and what was known behind it, until the connection has caught up."""
        if self._known is None:
            return heard
        if not is_shorter(heard, self._known):
            self._known = None
            return heard
        return with_rest_of(self._known, heard)

    def _switch(self, listener: Listener) -> None:
        """This link hears from now on. Those that were late or lost are down until a probe."""
        last, self._speaker = self._speaker, listener
        if last in self._running and last is not None and last.is_late and not last.is_lost:
            self._announce(ProviderTimeout(last.stream.provider, "another recogniser heard the caller first"))
        self._known = self._latest
        self._orphan()
        self._retire_others(blame=True)
        self._restored()

    def _retire_others(self, *, blame: bool = False) -> None:
        for other in [each for each in self._running if each is not self._speaker]:
            if blame and (other.is_late or other.is_lost):
                late = ProviderTimeout(other.stream.provider, "another recogniser heard the caller first")
                self._note(other, FallbackFailed(late, retryable=False))
            self._retire(other)
        self._waiting = [link for link in self._order() if self._speaker is None or link is not self._speaker.link]

    def _note(self, listener: Listener, error: ProviderError) -> None:
        now = self._now()
        if self._chain.failed(listener.link, error, began_at=listener.began_at, now=now):
            log.warning("fallback.down", link=listener.link.name, code=error.code)
        listener.began_at = now

    def _announce(self, error: ProviderError) -> None:
        if self._lost_at is None:
            self._lost_at = self._now()
            self._events.put(StreamLost(error, final=False))

    def _orphan(self) -> None:
        """The link that hears now must report the open turn, if there is one: until then, its words may follow."""
        if self._latest is not None:
            self._orphaned_at = self._now()

    def _restored(self) -> None:
        if self._lost_at is not None and self._orphaned_at is None:
            self._events.put(StreamRestored(self._now() - self._lost_at))
            self._lost_at, self._given_up = None, False

    # --- looking after them -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self._look()
            seconds = self._next_look()
            asked_at = self._now()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
                self._changed.clear()
            except TimeoutError:
                if seconds is not None and self._now() - asked_at - seconds > _OWN_DELAY_SECONDS:
                    await asyncio.sleep(_CATCH_UP_SECONDS)  # this process was busy, and messages may wait to be read

    def _next_look(self) -> float | None:
        speaker = self._speaker
        is_calm = (
            speaker is not None
            and len(self._running) == 1
            and speaker.works
            and not (speaker.is_lost or speaker.is_unsteady)
            and not self._is_awaited()
        )
        if not is_calm:
            return _LOOK_SECONDS
        return None if speaker is not None and speaker.link is self._links[0] else _RARELY_SECONDS

    def _look(self) -> None:
        now = self._now()
        self._forget_losses()
        late = [self._is_late(listener) for listener in self._running]
        if all(late) and (rested := [each for each in self._waiting if self._rest_until.get(each.name, 0.0) <= now]):
            self._waiting.remove(rested[0])
            self._ask(rested[0])
        elif not self._running:
            self._ask_all_again()
        elif self._has_orphan_ended():
            self._end_orphaned_turn()
        elif self._may_return():
            if len(self._running) == 1 and now >= self._return_at:
                self._ask(self._order()[0])
        elif len(self._running) > 1 and self._is_quiet() and self._speaker_is_well():
            self._stand_down()

    def _forget_losses(self) -> None:
        """A connection that has lasted is steady again: only now does the caller's speech count as heard."""
        speaker = self._speaker
        if speaker is not None and speaker.has_lasted(self._now()):
            speaker.losses = 0
            self._restored()

    def _is_late(self, listener: Listener) -> bool:
        """Whether another link must be asked. Once late, it stays late until it reports something in time."""
        listener.is_late = listener.is_late or listener.is_unsteady or self._owes_for_long(listener)
        return listener.is_late

    def _owes_for_long(self, listener: Listener) -> bool:
        is_first = listener.link is self._links[0]
        return listener.owes_for_long(self._now(), is_awaited=self._is_awaited(), is_first=is_first)

    def _ask_all_again(self) -> None:
        now = self._now()
        if not self._given_up:
            self._given_up, self._again_at = True, now + _AGAIN_SECONDS
            self._announce(self._error)
            self._events.put(StreamLost(self._error, final=True))
        elif now >= self._again_at:
            self._again_at = now + _AGAIN_SECONDS
            self._speaker = None
            self._begin_race()

    def _has_orphan_ended(self) -> bool:
        since = self._orphaned_at
        if since is None or self._sound_on:
            return False
        return self._now() - max(since, self._quiet_since) >= _ORPHAN_SECONDS

    def _end_orphaned_turn(self) -> None:
        """No more of its words have come, and the caller is silent."""
        self._orphaned_at = None
        self._restored()
        if self._latest is not None:
            self._emit_end(TurnEnded(self._latest))

    def _is_awaited(self) -> bool:
        """Whether there are words of the caller, or may be some."""
        return self._latest is not None or self._sound_on or self._now() - self._quiet_since < _UNANSWERED_SECONDS

    def _is_quiet(self) -> bool:
        return self._latest is None and not self._sound_on and self._now() - self._quiet_since >= _QUIET_SECONDS

    def _speaker_is_well(self) -> bool:
        return self._speaker in self._running and self._speaker is not None and not self._speaker.is_lost

    def _stand_down(self) -> None:
        if self._speaker is not None and self._speaker.works:
            self._speaker.is_late, self._speaker.losses = False, 0
            self._retire_others()

    def _may_return(self) -> bool:
        """Whether a better link than the one that hears is well, and nobody speaks."""
        best, speaker = self._chain.order()[0], self._speaker
        if speaker is None or best.probe_at is not None or self._latest is not None or self._sound_on:
            return False
        return self._links.index(speaker.link) > [link.name for link in self._links].index(best.name)

    # --- the words --------------------------------------------------------------------------------------------------

    def _pass_on(self, listener: Listener, event: _TurnEvent) -> None:
        self._orphaned_at = None
        if isinstance(event, TurnEnded) or not (listener.is_lost or listener.is_unsteady):
            self._restored()
        transcript = self._with_known_words(behind(listener, event.transcript))
        match event:
            case TurnEnded():
                listener.has_heard_turn = True
                self._chain.served(listener.link)
                self._emit_end(TurnEnded(transcript))
                return
            case TurnEndedEagerly():
                self._ended_eagerly = listener
                self._events.put(TurnEndedEagerly(transcript))
            case TurnUpdated() if self._ended_eagerly in (None, listener):
                self._events.put(TurnUpdated(transcript))
            case TurnUpdated() | TurnResumed():  # what another link took for the end is not one
                self._ended_eagerly = None
                self._events.put(TurnResumed(transcript))
        self._latest = transcript
        self._changed.set()

    def _emit_end(self, event: TurnEnded) -> None:
        self._language = event.transcript.language or self._language
        self._latest = self._known = self._ended_eagerly = None
        words, rate = event.transcript.words, self._format.sample_rate
        until = round(words[-1].end * rate) if words else self._audio.end - round(_LEAD_SECONDS * rate)
        self._audio.acknowledge(until)
        for listener in self._running:
            listener.kept, listener.losses = Transcript(""), 0
        self._events.put(event)
        self._changed.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bug = self._bug or bug
            self._events.close()
