"""Has the fixed lines of an agent ready as sound before a call needs them."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from app.calls.agent.plan import CallPlan
from app.calls.live.phrase_cache import PhraseCache
from app.service_loops import ServiceLoops
from media.formats import AUDIO_FORMATS

_Key = tuple[object, ...]


class PhrasePreparation:
    """Prepares each agent's lines once for each audio format, and retries failed ones with the next call.

    Task ledger: ``phrases:...`` prepares the lines of one plan, ``phrases:start`` those of the first calls. Both end by
    themselves, or by cancellation.
    """

    def __init__(self, phrases: PhraseCache, loops: ServiceLoops) -> None:
        self._phrases = phrases
        self._loops = loops
        self._prepared: set[_Key] = set()
        self._preparing: set[asyncio.Task[None]] = set()

    def at_start(self, plans: Sequence[CallPlan]) -> None:
        """Begin to prepare the lines of every agent, and delete lines that no agent uses. Never waits."""
        self._spawn(self._at_start(plans), "phrases:start")

    def begin(self, plan: CallPlan) -> None:
        """Begin to prepare the lines of that plan, unless they are ready. Never waits."""
        key = _key(plan)
        if key in self._prepared:
            return
        self._prepared.add(key)
        name = f"phrases:{plan.audio_format.encoding}:{plan.audio_format.sample_rate}"
        self._spawn(self._prepare(plan, key), name)

    def stop(self) -> None:
        """Stop preparing lines."""
        for task in self._preparing:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loops.spawn(work, name=name, kind="phrases")
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _at_start(self, plans: Sequence[CallPlan]) -> None:
        """Let one process after another prepare the lines, so that the vendor bills each line once."""
        self._prepared.update(map(_key, plans))
        async with self._phrases.alone():
            for plan in plans:
                await self._prepare(plan, _key(plan))
        used = [
            (text, replace(plan.voice(language), encoding=each.encoding, sample_rate=each.sample_rate), plan.tts)
            for plan in plans
            for language, texts in plan.phrases()
            for text in texts
            for each in AUDIO_FORMATS
        ]
        await self._phrases.prune(used)

    async def _prepare(self, plan: CallPlan, key: _Key) -> None:
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


def _key(plan: CallPlan) -> _Key:
    return (plan.agent.name, plan.agent.sha256, plan.agent.tts, plan.audio_format)
