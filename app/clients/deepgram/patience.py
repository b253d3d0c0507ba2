"""How Flux is told to wait longer or shorter for the end of a turn. Pure: no socket, the time is an argument.

Wire format: the ``Configure`` message of https://developers.deepgram.com/docs/flux/configure. Nova has none for this.
"""

import json
from collections.abc import Mapping

from app.clients.deepgram.messages import DeepgramOptions
from app.models import Patience

_QUICK_THRESHOLD = 0.5
_QUICK_EAGER_THRESHOLD = 0.3
_PATIENT_THRESHOLD = 0.9
_PATIENT_TIMEOUT_MS = 4000
_ANSWERED_WITHIN_SECONDS = 2.0
_MANUAL = 1.0


class FluxPatience:
    """Keeps the patience of one connection as it is wanted, one ``Configure`` at a time."""

    def __init__(self, options: DeepgramOptions) -> None:
        self._options = options
        self._told = Patience.NORMAL
        self._waits_until: float | None = None
        """When the answer to the last message is given up; None while none is due."""

    def next_message(self, wanted: Patience, now: float) -> str | None:
        """The message to send now; None while there is nothing to change, or the last one was not answered yet."""
        waits = self._waits_until is not None and now < self._waits_until
        if wanted is self._told or waits or self._options.eot_threshold == _MANUAL:
            return None
        self._told, self._waits_until = wanted, now + _ANSWERED_WITHIN_SECONDS
        return json.dumps({"type": "Configure", "thresholds": thresholds(self._options, wanted)})

    def note(self, message: Mapping[str, object]) -> bool:
        """Take note of a message of Flux; True when it answers the last ``Configure``."""
        if message.get("type") not in ("ConfigureSuccess", "ConfigureFailure"):
            return False
        self._waits_until = None
        return True


def thresholds(options: DeepgramOptions, patience: Patience) -> dict[str, float]:
    """Flux's thresholds for that patience: the configured ones, or lower or higher ones."""
    end, eager, timeout_ms = options.eot_threshold, options.eager_eot_threshold, options.eot_timeout_ms
    if patience is Patience.QUICK:
        end = min(end, _QUICK_THRESHOLD)
        eager = None if eager is None else min(eager, _QUICK_EAGER_THRESHOLD)
    elif patience is Patience.PATIENT:
        end, timeout_ms = max(end, _PATIENT_THRESHOLD), min(timeout_ms, _PATIENT_TIMEOUT_MS)
    wanted: dict[str, float] = {"eot_threshold": end, "eot_timeout_ms": timeout_ms}
    return wanted if eager is None else {"eager_eot_threshold": eager, **wanted}
