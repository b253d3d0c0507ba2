"""Has the fixed lines of an agent ready as sound before a call needs them."""

import asyncio

from app.calls.agent.plan import CallPlan
from app.calls.live.phrase_cache import PhraseCache
from app.service_loops import ServiceLoops


class PhrasePreparation:
    """Prepares each agent's lines once for each format of audio; what could not be had is tried with the next call.

    Task ledger: ``phrases:...`` prepares the lines of one plan. It ends by itself, or by cancellation.
    """

    def __init__(self, phrases: PhraseCache, loops: ServiceLoops) -> None:
        self._phrases = phrases
        self._loops = loops
        self._prepared: set[tuple[object, ...]] = set()
        self._preparing: set[asyncio.Task[None]] = set()

    def begin(self, plan: CallPlan) -> None:
        """Start with the lines of that plan, unless they are there; never waits."""
        key = (plan.agent.name, plan.agent.sha256, plan.agent.tts, plan.audio_format)
        if key in self._prepared:
            return
        self._prepared.add(key)
        name = f"phrases:{plan.audio_format.encoding}:{plan.audio_format.sample_rate}"
        task = self._loops.spawn(self._prepare(plan, key), name=name, kind="clips")
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    def stop(self) -> None:
        """Prepare no more."""
        for task in self._preparing:
            task.cancel()

    async def _prepare(self, plan: CallPlan, key: tuple[object, ...]) -> None:
        is_complete = False
        try:
            is_complete = await self._prepare_all(plan)
        finally:
            if not is_complete:
                self._prepared.discard(key)

    async def _prepare_all(self, plan: CallPlan) -> bool:
        for language, texts in plan.phrases():
            if not await self._phrases.prepare(texts, plan.voice(language), plan.tts):
                return False
        return True
