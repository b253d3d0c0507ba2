import json
from dataclasses import asdict
from typing import Any, get_type_hints

import pytest

from app.conversation import events as ev
from app.conversation.knowledge_events import KnowledgeSearched
from app.journal.readable_rows import is_readable
from app.journal.record import call_record
from app.journal.redacted import RowRedactor
from app.journal.replay import differences, redacted_of
from app.journal.wordless import _WORDS
from app.models import JournalRow
from app.redaction.finder import Finder
from app.redaction.numbers import regions_of
from tests.conversation.script import greeted_call

CARD, PHONE, EMAIL = "4539 5787 6362 1486", "+1 415 555 2671", "john.smith@gmail.com"
ALL = f"{CARD}; {PHONE}; {EMAIL}"
MARKED = "[card]; [phone]; [email]"
FINDER = Finder(("cards", "phones", "emails"), regions_of(["en"], []))


def a_redactor() -> RowRedactor:
    return RowRedactor(FINDER)


def stored(rows: list[JournalRow]) -> list[JournalRow]:
    redactor = a_redactor()
    return [JournalRow(**{**asdict(row), "data": redactor.redacted(row.type, dict(row.data))}) for row in rows]


def a_call_with_a_card() -> list[JournalRow]:
    call = greeted_call().caller_says(f"{CARD} is my card").agent_says(f"It is {CARD}, thank you.")
    return [JournalRow(**json.loads(json.dumps(asdict(row)))) for row in call.operator_hangs_up().rows]


def test_the_record_has_marks_and_everything_else_is_as_before() -> None:
    rows = a_call_with_a_card()
    left = stored(rows)

    assert "4539" not in json.dumps([row.data for row in left])
    assert all(map(is_readable, left))
    before, after = call_record(rows), call_record(left)
    assert [turn.text for turn in after.turns][1:3] == ["[card] is my card", "It is [card], thank you."]
    assert [(turn.number, turn.role, turn.started_at, turn.ended_at, turn.heard) for turn in after.turns] == [
        (turn.number, turn.role, turn.started_at, turn.ended_at, turn.heard) for turn in before.turns
    ]
    assert after.latency() == before.latency()


def test_a_redacted_call_replays_with_the_same_decisions() -> None:
    rows = a_call_with_a_card()
    left = stored(rows)
    named = [JournalRow(**{**asdict(left[0]), "data": {**left[0].data, "agent": {"redact": ["cards"]}}}), *left[1:]]

    assert differences(left) == differences(rows) == []
    assert (redacted_of(rows), redacted_of(named)) == ((), ("cards",))


@pytest.mark.parametrize("kind", sorted(_WORDS))
def test_every_field_that_holds_words_is_redacted(kind: str) -> None:
    cls = ev.EVENT_TYPES[kind]
    hints = get_type_hints(cls)
    example: dict[str, Any] = {"speech": 1, "digit": "1", "text": ALL, "kind": "reply"}
    data = {
        name: example.get(name, [{"text": ALL}] if "list" in str(hint) or "tuple" in str(hint) else ALL)
        for name, hint in hints.items()
        if name in _WORDS[kind] or name == "speech"
    }
    written = json.dumps(a_redactor().redacted(kind, data))

    assert not [real for real in ("4539", "415", "smith") if real in written]
    assert data["digit"] == "1" if kind == ev.CallerDtmf.type else MARKED in written


def test_a_type_of_row_that_nobody_has_thought_of_is_redacted_too() -> None:
    data = {"new": ALL, "nested": {"list": [ALL, 4539578763621486, 5, None, True]}}

    assert a_redactor().redacted("caller.wrote_a_letter", data) == {
        "new": MARKED,
        "nested": {"list": [MARKED, "[card]", 5, None, True]},
    }


def test_numbers_and_names_of_a_row_stay_as_they_are() -> None:
    redactor = a_redactor()
    redactor.redacted(ev.TurnTaken.type, {"text": CARD})
    data = {"speech": 4539578763621486, "start_sample": 45395787, "text": "5787"}

    assert redactor.redacted(ev.AgentClauseStarted.type, data) == {**data, "text": "[card]"}
    used = {"provider": "x", "request_id": "req-4539-5787-6362-1486", "model": "m"}
    assert redactor.redacted(ev.ProviderUsed.type, used) == used


def test_what_a_vendor_says_of_a_failure_may_quote_the_caller() -> None:
    failed = a_redactor().redacted(ev.ProviderFailed.type, {"reason": f"cannot say {ALL}", "provider": "x"})

    assert failed == {"reason": f"cannot say {MARKED}", "provider": "x"}


def test_of_row_1_the_texts_are_redacted_and_its_versions_are_not() -> None:
    created = {
        "policy": {"max_response_seconds": 1.5, "lines": {"en": {"greeting": f"Call {PHONE}."}}},
        "language": "en",
        "agent": {
            "name": "a",
            "agent_hash": "4539578763621486",
            "prompt": f"Their card is {CARD}",
            "redact": ["cards"],
        },
        "telephony_usd_per_minute": 0.0,
    }

    assert a_redactor().redacted(ev.CallCreated.type, created) == {
        "policy": {"max_response_seconds": 1.5, "lines": {"en": {"greeting": "Call [phone]."}}},
        "language": "en",
        "agent": {"name": "a", "agent_hash": "4539578763621486", "prompt": "Their card is [card]", "redact": ["cards"]},
        "telephony_usd_per_minute": 0.0,
    }


def test_the_agent_s_question_says_what_digits_are() -> None:
    asks = {"speech": 1, "heard": "What is your order number?", "generated": "What is your order number?"}
    redactor = a_redactor()
    assert redactor.redacted(ev.TurnTaken.type, {"text": "12345678"})["text"] == "[digits]"
    redactor = a_redactor()
    redactor.redacted(ev.AgentFinished.type, asks)
    assert redactor.redacted(ev.TurnTaken.type, {"text": "12345678"})["text"] == "12345678"


def test_answers_to_different_questions_are_not_one_number() -> None:
    redactor = a_redactor()
    answers = []
    for speech, (question, answer) in enumerate(
        [
            ("How old are you?", "45"),
            ("On which day will you come?", "the 15"),
            ("At what time?", "10 30"),
            ("How many?", "2"),
        ]
    ):
        redactor.redacted(ev.AgentFinished.type, {"speech": speech, "heard": question, "generated": question})
        answers.append(redactor.redacted(ev.TurnTaken.type, {"text": answer})["text"])

    assert answers == ["45", "the 15", "10 30", "2"]


def test_the_passages_of_an_answer_are_redacted() -> None:
    found = {"speech": 1, "passages": [{"file": "a.md", "text": ALL, "line": 3}], "problem": None}

    assert a_redactor().redacted(KnowledgeSearched.type, found) == {
        **found,
        "passages": [{"file": "a.md", "text": MARKED, "line": 3}],
    }
