"""The latency a service adds to its vendors' own, from the stand-ins' timings and when a caller heard the answers."""

from collections.abc import Sequence
from typing import Any

Timings = Sequence[dict[str, Any]]
"""``timings`` of ``GET /control/calls/{call_id}``."""


def added_latencies(answers: Sequence[float], timings: Timings) -> list[float]:
    """For each answer, the seconds between end of turn and first sound that no vendor accounts for.

    ``answers`` are the times of each answer's first sound, on the clock of ``timings``. Time that a vendor worked on an
    answer before the end of the turn does not count, because the caller was still speaking.
    """
    ends = [timing["at"] for timing in timings if timing["event"] == "end_of_turn"]
    added = []
    for heard in answers:
        ended = max((at for at in ends if at <= heard), default=None)
        if ended is not None:
            added.append(heard - ended - _taken_by_vendors(timings, ended, heard))
    return added


def _taken_by_vendors(timings: Timings, ended: float, heard: float) -> float:
    """The vendors' share of an answer: request to first clause, plus that clause's text to its first sound."""
    sound = _last(timings, heard, "cartesia", ("first_audio",), text=1)
    if sound is None:
        return 0.0
    inputs = (item for item in timings if item["event"] == "input" and item.get("context_id") == sound["context_id"])
    clause = next(inputs, sound)
    took: float = max(0.0, sound["at"] - max(clause["at"], ended))
    token = _last(timings, clause["at"], "openai", ("first_delta", "delta"))
    if token is not None:
        took += max(0.0, token["at"] - max(token["requested_at"], ended))
    return took


def _last(timings: Timings, until: float, vendor: str, events: Sequence[str], **more: Any) -> dict[str, Any] | None:
    wanted = {"vendor": vendor, **more}
    known = (item for item in reversed(timings) if item["at"] <= until and item["event"] in events)
    return next((item for item in known if wanted.items() <= item.items()), None)
