"""An agent has in a test in text what it has by telephone: tools of servers, the list of numbers, and its lookup."""

from pathlib import Path

import pytest

from app.agent_tests.file import read_test_file
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.prepared import prepare
from app.agent_tests.running import ScenarioRunner
from app.agent_tests.text_runner import TextHolder
from app.errors import SettingsError
from app.wiring_text import Agents, open_text_calls
from sandbox.running import running_sandbox
from tests.end_to_end.service import settings_for
from tests.support.mcp_endpoint import mcp_endpoint
from tests.support.tool_endpoint import Says, tool_endpoint

AGENT = """
prompt: You answer for the clinic.
language: en
variables: {name: {default: friend}}
greeting: {en: "Hello, {{ name }}."}
lookup: {url: "%s/who"}
mcp_servers: [{name: schedule, url: "%s"}]
"""
KNOWN = '{"variables": {"name": "Anna"}}'
SCENARIOS = """
language: en
scenarios:
  - name: known
    caller_number: "+15550101"
    caller: {lines: [Good morning], listens: 1}
    tools: {schedule_find_times: {answer: none}, do_not_call: {answer: done}}
    expect: [{said: "Hello, Anna."}]
  - name: fixed
    caller: {lines: [Good morning], listens: 1}
    tools: {lookup: {answer: {variables: {name: Peter}}}}
    expect: [{said: "Hello, Peter."}]
  - name: refused
    caller: {lines: [Good morning], listens: 1}
    tools: {lookup: {answer: {reject: true}}}
    expect: [{turns: 1}]
"""


async def test_tools_of_servers_the_list_of_numbers_and_the_lookup_work_in_text(tmp_path: Path) -> None:
    async with running_sandbox() as sandbox, mcp_endpoint() as server, tool_endpoint(Says(KNOWN)) as crm:
        (tmp_path / "clinic.yaml").write_text(AGENT % (crm.url, server.url))
        path = tmp_path / "clinic.tests.yaml"
        path.write_text(SCENARIOS)
        settings = settings_for(tmp_path, sandbox).model_copy(update={"dial_prefixes": ("+1555",)})
        agents, kept = Agents(settings), KeptAnswers(None)
        prepared = prepare([read_test_file(path)], agents)
        async with open_text_calls(settings, agents, [prepared[0].agent]) as calls:
            planned = await calls.plan(prepared[0].request)
            runner = ScenarioRunner(TextHolder(calls, kept, dry_tools=False), calls.generator, kept)
            known, fixed, refused = [await runner.run(each) for each in prepared]

    assert {"schedule_find_times", "schedule_book", "do_not_call"} <= set(planned.plan.endpoints)
    assert known.passed, known.problem
    assert [row.data["ok"] for row in known.rows if row.type == "lookup.finished"] == [True]
    assert fixed.passed, fixed.problem
    assert refused.problem == "the call could not be held: the lookup refuses this caller"


def test_what_the_agent_lacks_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "clinic.yaml").write_text("prompt: Help.\nlanguage: en\n")
    path = tmp_path / "clinic.tests.yaml"
    path.write_text("""
tools:
  book: {answer: done}
scenarios:
  - name: a
    caller: {lines: [{say: Hello, sound: a.wav}]}
    variables: {doctor: any}
    tools:
      look: {answer: done}
    expect:
      - outcome: {day: Friday}
""")
    with pytest.raises(SettingsError) as wrong:
        prepare([read_test_file(path)], Agents(settings_for(tmp_path)))

    assert [problem.removeprefix(f"{path} line ")[:60] for problem in wrong.value.problems] == [
        "7: scenarios[0].variables: variables.doctor: is not known; t",
        "3: tools.book: the agent has no such tool; it has none",
        "9: scenarios[0].tools.look: the agent has no such tool; it h",
        "11: scenarios[0].expect[0].outcome.day: the agent's outcome ",
        f"6: scenarios[0].caller.lines[0].sound: there is no file {tmp_path}"[:60],
    ]
