"""``voice-agent test`` as a developer types it: with the sandbox, each expectation passes once and fails once."""

import re
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest

from app.agent_tests.shape import EXPECTATIONS
from tests.cli.test_chat import run
from tests.support.sources import ROOT

AGENT = """
prompt: You answer the telephone of a clinic.
language: en
greeting: {en: "Garden Street clinic, hello! How can I help you?"}
outcome:
  fields:
    patient_name: {type: string, description: the patient's name}
"""

EXAMPLE = ROOT / "docs" / "agent.example.tests.yaml"
HOURS = "When are you open?"
"""The sandbox answers: every day from nine in the morning to eight in the evening."""

EACH_KIND: dict[str, tuple[str, list[str], str, str]] = {
    "said": ("said", [HOURS], 'said: "/nine in the (morning|night)/"', "said: midnight"),
    "said, a judge": (
        "said",
        [HOURS],
        "said: {judge: 'Does the agent say \"nine in the morning\"?'}",
        "said: {judge: 'Does the agent say \"midnight\"?'}",
    ),
    "not said": ("not_said", [HOURS], "not_said: midnight", "not_said: NINE in the"),
    "not said, a judge": (
        "not_said",
        [HOURS],
        "not_said: {judge: 'Does the agent say \"midnight\"?'}",
        "not_said: {judge: 'Does the agent say \"nine\"?'}",
    ),
    "tool": (
        "tool",
        ["I want a human, please."],
        "{tool: transfer, arguments: {target: sales}, times: 1}",
        "{tool: transfer, arguments: {target: support}}",
    ),
    "no tool": ("no_tool", ["I want a human, please."], "no_tool: end_call", "no_tool: transfer"),
    "outcome": (
        "outcome",
        ["Hello, my name is Anna Smith."],
        "outcome: {patient_name: Anna Smith}",
        "outcome: {patient_name: Peter}",
    ),
    "end reason": ("end_reason", ["Goodbye!"], "end_reason: agent_hangup", "end_reason: transferred"),
    "latency": ("latency", [HOURS], "latency: 60", "latency: 0"),
    "interrupts": (
        "interrupts",
        [HOURS, '{over: "I mean on Sunday, please", after: 0.4}'],
        "interrupts: 1",
        "interrupts: 0",
    ),
    "turns": ("turns", [HOURS, "And how much is a visit?"], "turns: 2", "turns: 1"),
    "cost": ("cost", [HOURS], "cost: 1", "cost: 0"),
}
"""By name: the kind, what the caller says, an expectation that is met, and one that is not."""


def scenario(name: str, lines: list[str], expectation: str) -> str:
    written = "\n".join(f"        - {line}" for line in lines)
    expected = expectation if expectation.startswith("{") else f"{{{expectation}}}"
    return f"""
  - name: {name}
    caller:
      listens: 1
      lines:
{written}
    expect: [{expected}]"""


def write_tests(folder: Path, *scenarios: str, head: str = "") -> Path:
    (folder / "agents").mkdir(exist_ok=True)
    (folder / "agents" / "clinic.yaml").write_text(AGENT)
    (folder / ".env").write_text("TRANSFER_TARGETS=sales=+15550100\n")
    path = folder / "agents" / "clinic.tests.yaml"
    path.write_text(f"{head}scenarios:{''.join(scenarios)}\n")
    return path


def held(folder: Path, *options: str) -> CompletedProcess[str]:
    return run(folder, "test", "agents/clinic.tests.yaml", *options)


def cases(path: Path) -> dict[str, str | None]:
    """Each case of a JUnit file, with the text of its failure."""
    found = ElementTree.parse(path).getroot().iter("testcase")  # noqa: S314 - our own file
    return {case.attrib["name"]: case.findtext("failure") for case in found}


def test_there_is_an_example_of_each_kind() -> None:
    assert {kind for kind, *_ in EACH_KIND.values()} == set(EXPECTATIONS)


def test_each_kind_of_expectation_passes_and_fails_and_a_rerun_asks_no_judge(tmp_path: Path) -> None:
    scenarios = [
        scenario(f"{name}, {how}", lines, met if how == "met" else missed)
        for name, (_, lines, met, missed) in EACH_KIND.items()
        for how in ("met", "missed")
    ]
    write_tests(tmp_path, *scenarios, head='now: "2026-12-01T10:00"\n')

    first = held(tmp_path, "--junit", "first.xml", "--parallel", "4")
    assert first.returncode == 1, first.stderr
    outcomes = cases(tmp_path / "first.xml")
    assert {name for name, failure in outcomes.items() if failure is not None} == {
        f"{each}, missed" for each in EACH_KIND
    }
    assert len(outcomes) == 2 * len(EACH_KIND)
    assert "tool transfer" in str(outcomes["tool, missed"])
    assert "in turn 2" in str(outcomes["not said, missed"])
    assert "12 of 24 scenarios failed" in first.stdout
    asked, known = map(int, re.findall(r"(\d+) answers asked for, (\d+) known", first.stdout)[0])
    assert asked + known == 6
    assert asked >= 4, "the same question about the same words is asked once"

    again = held(tmp_path, "--junit", "again.xml", "--parallel", "4")
    assert cases(tmp_path / "again.xml").keys() == outcomes.keys()
    assert "0 answers asked for, 6 known" in again.stdout


def test_a_persona_books_every_attempt_counts_and_the_example_passes(tmp_path: Path) -> None:
    persona = """
  - name: books
    caller:
      persona: {goal: "Hello, I would like an appointment.", facts: {day: Friday}}
    expect:
      - said: ten o'clock
      - end_reason: agent_hangup
      - turns: 6"""
    write_tests(tmp_path, persona)

    finished = held(tmp_path, str(EXAMPLE), "--repeat", "3")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.count("3/3") == 5
    assert "all 5 scenarios passed; pass^1 100%, pass^3 100%" in finished.stdout


def test_the_example_is_copied_its_test_fails_with_another_prompt_and_passes_when_it_is_mended(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    name = "garden-street-clinic"  # as docs/testing-agents.md says
    agent, tests = tmp_path / "agents" / f"{name}.yaml", tmp_path / "agents" / f"{name}.tests.yaml"
    agent.write_text(EXAMPLE.with_name("agent.example.yaml").read_text())
    tests.write_text(EXAMPLE.read_text())
    passes = run(tmp_path, "test", str(tests))
    assert passes.returncode == 0, passes.stdout + passes.stderr
    agent.write_text(agent.read_text().replace("from nine to six", "from eight to six"))
    fails = run(tmp_path, "test", str(tests))
    assert (fails.returncode, "from nine to six" in fails.stdout) == (1, True), fails.stdout + fails.stderr
    tests.write_text(tests.read_text().replace("from nine to six", "from eight to six"))
    assert run(tmp_path, "test", str(tests)).returncode == 0


def test_the_first_failing_turn_is_shown_with_what_was_said(tmp_path: Path) -> None:
    write_tests(tmp_path, scenario("hours", [HOURS, "Goodbye!"], "not_said: nine in the morning"))

    finished = held(tmp_path)
    assert finished.returncode == 1
    assert "turn 2: not said: nine in the morning: the agent said it" in finished.stdout
    assert f"[2] caller: {HOURS} / [2] agent: We are open every day from nine" in finished.stdout


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("  - {name: a, caller: {lines: [Hello]}, expect: [{sayd: x}]}", "line 2: scenarios[0].expect[0].sayd: is not"),
        ("  - {name: a, caller: {lines: [Hello]}}", "line 2: scenarios[0].expect: is missing"),
        ("  - {name: a, caller: {}, expect: [{turns: 1}]}", "line 2: scenarios[0].caller: has either lines"),
        ("  - {name: a, caller: {lines: [x]}, expect: [{said: '/(/'}]}", "scenarios[0].expect[0].said: is no regular"),
        ("  - {name: a, caller: {lines: [x]}, tools: {book: {}}, expect: [{turns: 1}]}", "tools.book: the agent"),
        ("  - {name: a, caller: {lines: [x]}, expect: [{outcome: {day: 1}}]}", "outcome has no field day"),
        ("  - {name: a, caller: {lines: [x]}, variables: {b: 1}, expect: [{turns: 1}]}", "variables.b: is not known"),
        ("  - [", "line 3"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_file_line_and_key(tmp_path: Path, written: str, told: str) -> None:
    write_tests(tmp_path, f"\n{written}")

    finished = held(tmp_path)
    assert finished.returncode == 2, finished.stdout
    assert "clinic.tests.yaml" in finished.stderr
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_file_for_results_that_cannot_be_written_is_refused_before_any_call(tmp_path: Path) -> None:
    write_tests(tmp_path, scenario("hours", [HOURS], "turns: 1"))

    finished = held(tmp_path, "--junit", "nowhere/results.xml")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == "--junit nowhere/results.xml: there is no folder nowhere; create it first\n"
