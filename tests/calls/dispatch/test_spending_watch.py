"""What belongs to no call is added to the spending of the day."""

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry

from app.calls.dispatch.spending_watch import SpendingWatch
from app.observability.analysis_metrics import AnalysisMetrics
from app.observability.provider_metrics import ProviderMetrics
from app.storage.spending import DaySpending, SpendingStore
from tests.storage.stores import open_stores


async def test_probes_phrases_and_analyses_count_once(tmp_path: Path) -> None:
    read: asyncio.Queue[DaySpending] = asyncio.Queue()
    async with open_stores(tmp_path) as stores:
        watch = SpendingWatch(SpendingStore(stores.database), day_limit=1.0, on_read=read.put_nowait)
        providers, analyses = ProviderMetrics(CollectorRegistry()), AnalysisMetrics(CollectorRegistry())
        for on_spent in (providers.on_spent, analyses.on_spent):
            on_spent.add(watch.note)
        providers.spent("deepgram", 0.001)
        providers.phrase_voiced("cartesia", 0.02)
        providers.phrase_voiced("cartesia", None)
        analyses.spent(0.3)
        for _ in range(2):
            async with asyncio.TaskGroup() as tasks:
                looking = tasks.create_task(watch.look(), name="look")
                today = await read.get()
                looking.cancel()
            assert today.spent_usd == 0.321
    assert watch.latest == today
