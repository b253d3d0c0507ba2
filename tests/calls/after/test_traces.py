import asyncio

from prometheus_client import CollectorRegistry

from app.calls.after.traces import CallTraces
from app.clients.traces import CallSpans
from app.models import JournalRow
from app.observability.trace_metrics import TraceMetrics


class Rows:
    """Journals without rows."""

    async def rows(self, call_id: str, after_seq: int = 0) -> list[JournalRow]:
        return []


class Collector:
    """Takes traces, or never answers; leaves out what is not sampled."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs = hangs
        self.taken: list[str] = []
        self.is_closed = False

    def is_sampled(self, call_id: str) -> bool:
        return not call_id.startswith("unsampled")

    async def export(self, call_id: str, spans: CallSpans) -> int:
        if self.hangs:
            await asyncio.Event().wait()
        self.taken.append(call_id)
        return 1

    def close(self) -> None:
        self.is_closed = True


def a_queue(collector: Collector) -> tuple[CallTraces, dict[str, float]]:
    registry = CollectorRegistry()
    traces = CallTraces(Rows(), collector, TraceMetrics(registry), waiting_max=2, stop_seconds=0.01)

    class Counts(dict[str, float]):
        def __missing__(self, result: str) -> float:
            return registry.get_sample_value("voice_traces_total", {"result": result}) or 0.0

    return traces, Counts()


async def test_calls_beyond_the_bound_are_left_out_and_counted() -> None:
    collector = Collector()
    traces, counts = a_queue(collector)

    for call_id in ("first", "unsampled", "second", "third"):
        traces.ended(call_id)
    await traces.look()
    await traces.look()

    assert collector.taken == ["first", "second"]
    assert (counts["exported"], counts["overflow"]) == (2, 1)


async def test_a_stop_sends_what_waits() -> None:
    collector = Collector()
    traces, counts = a_queue(collector)
    traces.ended("first")
    traces.ended("second")

    await traces.stop()
    traces.ended("late")

    assert (collector.taken, collector.is_closed) == (["first", "second"], True)
    assert (counts["exported"], counts["stopped"]) == (2, 1)


async def test_a_stop_does_not_wait_for_a_collector_that_hangs() -> None:
    collector = Collector(hangs=True)
    traces, counts = a_queue(collector)
    traces.ended("first")
    traces.ended("second")

    await traces.stop()

    assert (collector.taken, collector.is_closed, counts["stopped"]) == ([], True, 2)
