"""What a call cost, and the vendors' ids of its requests, computed from its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.models import JournalRow, TokenUsage

_PART = {"listen": "stt", "think": "llm", "speak": "tts"}
_PARTS = ("stt", "llm", "tts")
_DOLLAR_DIGITS = 6


@dataclass(slots=True)
class Bill:
    """Reads the rows that say what was used. A price that is not known makes its part and the total unknown: None."""

    request_ids: list[str] = field(default_factory=list)
    """The ids of all requests, including failed ones, each once and in the order of their rows."""
    _costs: dict[str, list[float | None]] = field(default_factory=dict)
    _served: dict[int, dict[str, list[str]]] = field(default_factory=dict)
    """The links that served, by the number of the turn and by part."""
    _heard: dict[int, list[str]] = field(default_factory=dict)
    """By the number of the turn."""
    _usage: TokenUsage = field(default_factory=TokenUsage)
    _telephony_usd_per_minute: float | None = None

    def created(self, row: JournalRow) -> None:
        """Take row 1, which has the price of the line. Rows of older versions have none."""
        self._telephony_usd_per_minute = row.data.get("telephony_usd_per_minute")

    def used(self, row: JournalRow) -> None:
        """Take a row ``provider.used``."""
        data = row.data
        stage = data.get("stage") or _stage_of_an_old_row(data)
        part = _PART.get(stage, stage)
        self._costs.setdefault(part, []).append(data.get("cost"))
        if row.turn is not None and data.get("served", True):
            served = self._served.setdefault(row.turn, {}).setdefault(part, [])
            who = data.get("way") or data["provider"]
            served += [who] if who not in served else []
        self.note_requests(*data.get("request_ids", ()), data.get("request_id"))
        if stage == "think":
            self._usage += TokenUsage(
                data.get("prompt_tokens", 0), data.get("cached_tokens", 0), data.get("completion_tokens", 0)
            )

    def served(self, turn: int) -> dict[str, list[str]]:
        """Which links wrote (``llm``) and spoke (``tts``) in that turn, in order; prepared phrases have no speaker."""
        return self._served.get(turn, {})

    def heard(self, row: JournalRow) -> None:
        """Take a row with the caller's words."""
        who = row.data.get("heard_by")
        if who and row.turn is not None:
            heard = self._heard.setdefault(row.turn, [])
            heard += [who] if who not in heard else []

    def heard_by(self, turn: int) -> dict[str, list[str]]:
        """Who heard the caller (``stt``) in that turn, in order; empty where nobody else could have."""
        return {"stt": self._heard[turn]} if turn in self._heard else {}

    def note_requests(self, *ids: str | None) -> None:
        """Keep the ids that are known."""
        self.request_ids += dict.fromkeys(name for name in ids if name and name not in self.request_ids)

    def costs(self, seconds: float | None) -> dict[str, float | None]:
        """US dollars by part, and in total; ``seconds`` is how long the line was up, None while it is."""
        parts: dict[str, float | None] = {name: _sum(self._costs.get(name, [])) for name in _PARTS}
        if "stt" not in self._costs:
            parts["stt"] = None  # it is billed at the end of the call, which has not come yet
        parts["telephony"] = self._telephony(seconds)
        return {**parts, "total": _sum(list(parts.values()))}

    def token_usage(self) -> TokenUsage:
        """The usage of the language model, with its cost."""
        return replace(self._usage, cost=_sum(self._costs["llm"])) if "llm" in self._costs else self._usage

    def _telephony(self, seconds: float | None) -> float | None:
        price = self._telephony_usd_per_minute
        if price == 0.0:
            return 0.0  # a call without a telephone, also while it lives
        return None if price is None or seconds is None else round(price * seconds / 60, _DOLLAR_DIGITS)


def _stage_of_an_old_row(data: Mapping[str, Any]) -> str:
    """The stage of a row that does not name it, by what was used: a stream may have heard nothing."""
    if data.get("characters"):
        return "speak"
    return "think" if data.get("prompt_tokens") or data.get("completion_tokens") else "listen"


def _sum(costs: list[float | None]) -> float | None:
    """None as soon as one of them is unknown."""
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), _DOLLAR_DIGITS) if len(known) == len(costs) else None
