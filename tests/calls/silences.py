"""How long a caller who has asked something hears nothing."""

import asyncio
from typing import Any

from tests.calls.fakes import LiveCall
from tests.calls.far_end import TELEPHONE

SILENCE_SECONDS = 2.0
"""The longest silence that a caller may hear."""


def silences(call: LiveCall, since: float) -> list[float]:
    """The gaps in what the caller hears, from that moment on the loop's clock until the last sound."""
    gaps = []
    for stretch in call.far_end.stretches:
        end = stretch.begins + TELEPHONE.seconds(bytes(stretch.audio))
        if end > since:
            gaps.append(max(0.0, stretch.begins - since))
            since = end
    return gaps


async def asks(call: LiveCall, answers: int = 1, **finished: Any) -> float:
    """Ask, and wait until the agent has finished so many utterances; returns when the caller had asked."""
    asked = asyncio.get_running_loop().time()
    call.says("When do you open?")
    await call.until("agent.finished", answers, **finished)
    await asyncio.sleep(0.5)
    return asked
