"""Metrics of what happened in calls, counted from a call's journal once the call has ended."""

from collections.abc import Callable, Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.models import ANSWERING, JournalRow

_TOOL_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16)
_STOP_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2)
_KINDS = ("pause", "false_pause", "cut")
_IGNORED = ("acknowledgement", "echo", "unintelligible", "not_interruptible", "repeated")
_SPEECHES = (
    *("reply", "disclosure", "consent", "greeting", "notice", "reconnected"),
    *("prompt", "apology", "filler", "say", "transfer", "goodbye"),
)
_SOURCES = ("speech", "keypad", "timeout")
_TRANSFERS = ("refer", "dialled", "refused", "no_answer", "busy", "unavailable", "not_a_telephone")
_UNITS = ("prompt_tokens", "cached_tokens", "completion_tokens", "characters", "seconds")
_OTHER = "other"


class JournalMetrics:
    """Counts journal rows. A label has one of the known values or ``other``, because rows contain callers' words."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str, labels: Collection[str], known: Collection[str] = ()) -> Counter:
            made = Counter(name, meaning, list(labels), registry=registry)
            for value in known:
                made.labels(value)
            return made

        self._interruptions = counter(
            "voice_interruptions_total", "Times the agent's voice was paused by a sound, or cut.", ["kind"], _KINDS
        )
        self._stops = Histogram(
            "voice_barge_in_stop_seconds",
            "From the caller's first sound over the agent's voice until the voice pauses.",
            buckets=_STOP_BUCKETS,
            registry=registry,
        )
        self._ignored = counter(
            "voice_caller_ignored_total", "Callers' words that did not count as a turn.", ["reason"], _IGNORED
        )
        self._utterances = counter(
            "voice_utterances_total", "Agent utterances that callers began to hear.", ["kind"], _SPEECHES
        )
        self._turns = counter("voice_turns_total", "Callers' turns that called for an answer.", ["source"], _SOURCES)
        self._unanswered = Counter(
            "voice_unanswered_turns_total", "Turns whose answer the caller did not begin to hear.", registry=registry
        )
        self._transfers = counter("voice_transfers_total", "Transfers to a human.", ["outcome"], _TRANSFERS)
        self._outbound = counter("voice_outbound_calls_total", "Calls that were placed.", ["outcome"])
        self._tool_calls = counter(
            "voice_tool_calls_total", "Runs of the agent's configured tools.", ["tool", "result"]
        )
        self._tool_seconds = Histogram(
            "voice_tool_seconds", "How long they took.", ["tool"], buckets=_TOOL_BUCKETS, registry=registry
        )
        self._usage = counter("voice_provider_usage_total", "What vendors will bill.", ["provider", "unit"])
        self._cost = counter("voice_provider_cost_usd_total", "Cost at list prices, where known.", ["provider"])
        self._rows = self._by_type()

    def _by_type(self) -> dict[str, Callable[[JournalRow, Collection[str]], None]]:
        """How to count each type of row."""
        return {
            "agent.paused": lambda row, tools: self._interruptions.labels("pause").inc(),
            "agent.resumed": lambda row, tools: self._interruptions.labels("false_pause").inc(),
            "agent.interrupted": lambda row, tools: self._interruptions.labels("cut").inc(),
            "caller.ignored": lambda row, tools: self._ignored.labels(_known(row, "reason", _IGNORED)).inc(),
            "agent.reply_started": lambda row, tools: self._utterances.labels(_known(row, "kind", _SPEECHES)).inc(),
            "turn.taken": lambda row, tools: self._turns.labels(_known(row, "source", _SOURCES)).inc(),
            "transfer.completed": lambda row, tools: self._transfers.labels(_known(row, "how", _TRANSFERS)).inc(),
            "transfer.failed": lambda row, tools: self._transfers.labels(_known(row, "reason", _TRANSFERS)).inc(),
            "agent.tool_finished": self._tool_finished,
            "provider.used": self._provider_used,
        }

    def count(self, rows: Iterable[JournalRow], *, tools: Collection[str], is_outbound: bool) -> None:
        """Count the journal of an ended call; ``tools`` are the names of the agent's configured tools."""
        taken, answered = set[int | None](), set[int | None]()
        outcome: str | None = None
        reason: str | None = None
        sound_since: float | None = None
        for row in rows:
            counted = self._rows.get(row.type)
            if counted is not None:
                counted(row, tools)
            if row.type == "caller.sound_started":
                sound_since = row.data["since_t"]
            elif row.type == "agent.paused" and sound_since is not None:
                self._stops.observe(row.t - sound_since)
                sound_since = None
            elif row.type == "turn.taken":
                taken.add(row.turn)
            elif row.type == "agent.reply_started" and row.data["kind"] in ANSWERING:
                answered.add(row.turn)
            elif row.type == "call.answered":
                outcome = "answered"
            elif row.type == "call.ended":
                reason = row.data["reason"]
                outcome = outcome or reason
        self._unanswered.inc(len(taken - answered - _needs_no_answer(taken, reason)))
        if is_outbound and outcome is not None:
            self._outbound.labels(outcome).inc()

    def _tool_finished(self, row: JournalRow, tools: Collection[str]) -> None:
        """Count a tool run. The model chooses the name, so it may be anything if there is no such tool."""
        tool = _known(row, "name", tools)
        self._tool_calls.labels(tool, "ok" if row.data["ok"] else "failed").inc()
        if tool != _OTHER:
            self._tool_seconds.labels(tool).observe(row.data["seconds"])

    def _provider_used(self, row: JournalRow, _tools: Collection[str]) -> None:
        data, provider = row.data, row.data["provider"]
        for unit in _UNITS:
            if data.get(unit):
                self._usage.labels(provider, unit).inc(data[unit])
        if data.get("cost"):
            self._cost.labels(provider).inc(data["cost"])


def _needs_no_answer(taken: set[int | None], reason: str | None) -> set[int | None]:
    """The caller's last goodbye, after which the agent has hung up."""
    last = max((turn for turn in taken if turn is not None), default=None)
    return {last} if reason == "agent_hangup" else set()


def _known(row: JournalRow, name: str, values: Collection[str]) -> str:
    value: str = row.data[name]
    return value if value in values else _OTHER
