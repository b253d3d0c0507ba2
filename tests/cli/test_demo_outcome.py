"""When a demo has gone well: what it checks of the record, the clinic and the webhook."""

from copy import deepcopy
from typing import Any

import pytest
from rich.console import Console

from app.cli.demo_outcome import print_outcome, problems
from sandbox.clinic.clinic import ReceivedWebhook


def field(value: str, verified_by: str | None = "caller") -> dict[str, Any]:
    return {"value": value, "quote": value, "turn": 4, "verified_by": verified_by}


RECORD = {
    "end_reason": "agent_hangup",
    "disclosure_heard_at": 4.2,
    "analysis": {
        "status": "done",
        "success": True,
        "summary": "A visit on Friday.",
        "fields": {
            "day": field("2026-12-04"),
            "time": field("10:30"),
            "patient": field("Anna Green"),
            "telephone": field("79990000001", "keypad"),
            "visit": {"value": None, "quote": None, "turn": None, "verified_by": None},
        },
    },
}
VISIT = {"day": "2026-12-04", "time": "10:30"}


def webhook(record: dict[str, Any]) -> ReceivedWebhook:
    return ReceivedWebhook("msg_1", {"type": "call.analyzed", "data": deepcopy(record)})


def test_a_booking_that_was_reported_has_no_problem() -> None:
    assert problems(RECORD, [VISIT], webhook(RECORD)) == []


def changed(**values: Any) -> dict[str, Any]:
    return {**deepcopy(RECORD), **values}


@pytest.mark.parametrize(
    ("record", "visits", "problem"),
    [
        (changed(end_reason="silence"), [VISIT], "The call ended by silence, not by the agent's goodbye."),
        (changed(disclosure_heard_at=None), [VISIT], "No disclosure was heard."),
        (RECORD, [], "The clinic has 0 visits, not one."),
        (RECORD, [VISIT, VISIT], "The clinic has 2 visits, not one."),
        (changed(analysis=None), [VISIT], "with quote and turn: day, time, patient, telephone."),
        (changed(analysis={"fields": {"day": {"value": "x"}}}), [VISIT], "with quote and turn: day, "),
    ],
)
def test_whatever_is_missing_is_named(record: dict[str, Any], visits: list[dict[str, Any]], problem: str) -> None:
    [found] = problems(record, visits, webhook(record))

    assert problem in found


def test_a_webhook_that_is_missing_or_says_something_else_is_a_problem() -> None:
    assert problems(RECORD, [VISIT], None) == ["No webhook call.analyzed came with a signature that is right."]
    [other] = problems(RECORD, [VISIT], webhook(changed(analysis={"summary": "Something else."})))
    assert other == "The webhook does not say what the record says."


def test_the_report_shows_each_value_with_what_speaks_for_it() -> None:
    console = Console(width=140, record=True, quiet=False)
    print_outcome(console, RECORD, [VISIT], webhook(RECORD), "http://127.0.0.1:1/calls")

    lines = console.export_text().splitlines()
    [day] = [line for line in lines if line.startswith("│ day ")]
    assert [cell.strip() for cell in day.strip("│").split("│")] == [
        "day", "2026-12-04", "2026-12-04", "4", "caller, who said yes",
    ]  # fmt: skip
    [nothing] = [line for line in lines if line.startswith("│ visit ")]
    assert [cell.strip() for cell in nothing.strip("│").split("│")] == ["visit", "-", "-", "-", "-"]
    assert "summary   A visit on Friday." in lines
    assert "webhook   call.analyzed, msg_1, sent to http://127.0.0.1:1/calls" in lines
