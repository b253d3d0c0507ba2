"""The failures of vendors and tools in a call, computed from its rows."""

from dataclasses import dataclass

from app.models import JournalRow

_ACT = "act"


@dataclass(slots=True)
class FailureRecord:
    """A vendor or a tool failed; ``at`` is seconds since the call was answered."""

    number: int | None
    """The number of the turn; None if it concerns none."""
    at: float
    provider: str
    stage: str
    """``listen``, ``think``, ``speak`` or ``act``."""
    code: str
    reason: str | None
    """In words; None in rows of older versions."""
    request_id: str | None
    final: bool
    """False while it was not given up yet."""
    answer: str
    """What became of the answer: ``lost``, ``cut`` or ``refused``."""


def failure_of(row: JournalRow, at: float) -> FailureRecord:
    """The failure of a row ``provider.failed``."""
    data = row.data
    return FailureRecord(
        number=row.turn,
        at=at,
        provider=data["provider"],
        stage=data["stage"],
        code=data["code"],
        reason=data.get("reason") or None,
        request_id=data.get("request_id"),
        final=data["final"],
        answer=data.get("answer", "lost"),
    )


def failure_text(failure: FailureRecord) -> str:
    """One sentence that says no more than the row."""
    known = [failure.reason if failure.reason != failure.code else None, failure.request_id]
    details = ", ".join(text for text in (known[0], known[1] and f"request {known[1]}") if text)
    code = f"{failure.code} ({details})" if details else failure.code
    if failure.answer == "refused":
        return f"{failure.provider} refused what was said, so the turn leaves the prompt: {code}"
    if failure.answer == "late":
        return f"{failure.provider} had not begun to answer, so another model was asked too: {code}"
    if failure.answer == "cut":
        return f"{failure.provider} cut the answer short: {code}"
    text = f"{failure.provider} cannot {failure.stage}: {code}"
    if failure.stage == _ACT:  # a tool is asked once, and the model learns of its failure
        return text
    return f"{text}; {'given up' if failure.final else 'not given up'}"
