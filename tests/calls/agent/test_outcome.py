"""What an agent's file wants to know of each call."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.calls.agent.file import read_agent_file
from app.calls.agent.from_settings import agent_of_file
from app.calls.agent.outcome import OutcomeField, read_back
from app.errors import SettingsError
from app.models import CallContext
from app.settings import load_settings

FILE = """\
prompt: Book visits.
outcome:
  fields:
    day: {type: string, format: date, description: Day of the visit, confirm: true}
    pin: {type: string, confirm: true}
    guests: {type: integer}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "clinic.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_field_is_a_json_schema_and_whether_it_is_read_back(tmp_path: Path) -> None:
    agent = read_agent_file(written(tmp_path, FILE), {}, setting="AGENTS_DIR")

    assert agent.outcome == (
        OutcomeField("day", {"type": "string", "format": "date", "description": "Day of the visit"}, True),
        OutcomeField("pin", {"type": "string"}, True),
        OutcomeField("guests", {"type": "integer"}),
    )


def test_the_prompt_of_a_call_says_what_to_read_back_before_its_facts(tmp_path: Path) -> None:
    agent = agent_of_file(written(tmp_path, FILE), load_settings(None))
    call = CallContext("call-1", None, datetime(2026, 11, 30, tzinfo=UTC))
    in_call, _ = agent.for_call(agent.facts(call, "inbound"))

    _, _, end = in_call.prompt.partition("Book visits.\n\n")
    assert end.startswith("Before the call ends, read each of these back to the caller")
    assert "\n- day: Day of the visit\n- pin\n\nFacts of this call" in end
    assert "guests" not in end


def test_row_1_has_the_schemas_and_an_agent_without_an_outcome_none(tmp_path: Path) -> None:
    with_one = agent_of_file(written(tmp_path, FILE), load_settings(None)).describe("1")
    without = agent_of_file(written(tmp_path, "prompt: Talk.\n"), load_settings(None)).describe("1")

    assert list(with_one["outcome"]) == ["day", "pin", "guests"]
    assert "confirm" not in with_one["outcome"]["day"]
    assert "outcome" not in without


def test_nothing_is_said_when_nothing_is_read_back() -> None:
    assert read_back((OutcomeField("guests", {"type": "integer"}),)) == ""


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        ("{}", "outcome.fields: is missing"),
        ("{fields: {}}", "outcome.fields: dictionary should have at least 1 item"),
        ("{fields: {Day: {type: string}}}", "outcome.fields.Day: is not a valid name"),
        ("{fields: {day: {description: x}}}", "outcome.fields.day: must say what the value is, such as type: string"),
        ("{fields: {day: {type: strin}}}", "outcome.fields.day.type: is no JSON schema here"),
        ("{fields: {day: {type: string, confirm: maybe}}}", "outcome.fields.day: confirm must be true or false"),
        ("{fields: {day: {type: object, properties: {a: {$ref: '#/x'}}}}}", "is not followed; write it out"),
        ("{fields: {day: 5}}", "outcome.fields.day: input should be a valid dictionary"),
        ("{criteria: x, fields: {day: {type: string}}}", "outcome.criteria: is not a key"),
    ],
)
def test_a_wrong_outcome_is_named(tmp_path: Path, outcome: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_agent_file(written(tmp_path, f"prompt: x\noutcome: {outcome}\n"), {}, setting="AGENTS_DIR")

    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "setting", "is_analysed"),
    [
        ("prompt: Talk.\n", True, True),
        ("prompt: Talk.\n", False, False),
        ("prompt: Talk.\noutcome: false\n", True, False),
        (FILE, False, True),
    ],
)
def test_the_file_says_whether_calls_are_summed_up_and_else_the_settings_do(
    tmp_path: Path, text: str, setting: bool, is_analysed: bool
) -> None:
    settings = load_settings(None).model_copy(update={"analysis": setting})
    agent = agent_of_file(written(tmp_path, text), settings)

    assert agent.is_analysed is is_analysed
    assert agent.describe("1").get("analysis") is (None if is_analysed else False)
