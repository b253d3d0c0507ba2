import json
from dataclasses import asdict
from pathlib import Path

from app.conversation.events import EVENT_TYPES
from app.journal.readable_rows import is_readable
from app.journal.record import call_record
from app.journal.wordless import _NO_WORDS, _WORDS, has_words, without_words
from app.models import JournalRow
from tests.conversation.script import greeted_call

OLDER = Path(__file__).with_name("older_calls.jsonl")


def a_whole_call() -> list[JournalRow]:
    call = greeted_call().caller_says("my card is 4111").agent_says("Thank you, Anna. Anything else?")
    return [JournalRow(**json.loads(json.dumps(asdict(row)))) for row in call.operator_hangs_up().rows]


def erased(row: JournalRow) -> JournalRow:
    return JournalRow(**{**asdict(row), "data": without_words(row.type, row.data)})


def test_of_every_type_it_is_known_whether_it_holds_words() -> None:
    assert {*_NO_WORDS, *_WORDS, "call.created"} == set(EVENT_TYPES)
    assert not _NO_WORDS & _WORDS.keys()


def test_nothing_that_was_said_is_left_and_everything_else_is() -> None:
    rows = a_whole_call()
    left = [erased(row) for row in rows]

    written = json.dumps([row.data for row in left], ensure_ascii=False)
    assert not [word for word in ("card", "4111", "Thank", "Anna", "Hello") if word in written]
    assert all(map(is_readable, left))
    before, after = call_record(rows), call_record(left)
    assert [(turn.number, turn.role, turn.started_at, turn.ended_at) for turn in after.turns] == [
        (turn.number, turn.role, turn.started_at, turn.ended_at) for turn in before.turns
    ]
    assert after.latency() == before.latency()
    assert (after.end_reason, after.language, after.agent_hash) == (
        before.end_reason, before.language, before.agent_hash
    )  # fmt: skip
    assert {turn.text for turn in after.turns} == {""}


def test_the_prompt_and_the_lines_go_because_they_may_hold_values_of_the_call() -> None:
    data = {
        "policy": {"max_response_seconds": 1.5, "lines": {"en": {"greeting": "Hello Anna"}}, "keypad": [{"key": "1"}]},
        "language": "en",
        "agent": {"name": "clinic", "agent_hash": "ab", "prompt": "Anna calls", "tools": [{"name": "book"}]},
    }
    assert without_words("call.created", data) == {
        "policy": {"max_response_seconds": 1.5},
        "language": "en",
        "agent": {"name": "clinic", "agent_hash": "ab"},
    }


def test_nothing_is_left_of_what_this_version_does_not_know() -> None:
    assert has_words("caller.sang")
    assert without_words("caller.sang", {"song": "secret"}) == {}
    assert without_words("caller.words", {"text": "secret", "translated": "secret"}) == {"text": ""}


def test_erasing_twice_is_erasing_once_also_in_rows_of_older_versions() -> None:
    rows = [json.loads(line) for line in OLDER.read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 100
    for row in rows:
        once = without_words(row["type"], row["data"])
        assert without_words(row["type"], once) == once
