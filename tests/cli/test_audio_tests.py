"""The tests of the example agent over sound: a caller, the whole service and the sandbox, in leaping time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from wave import open as open_wave

import pytest

from app.agent_tests.file import read_test_file
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.prepared import Prepared, prepare
from app.agent_tests.results import Attempt
from app.agent_tests.running import ScenarioRunner, run_all
from app.cli.audio_tests import open_audio_calls
from app.settings import Settings
from app.wiring_text import Agents, TextCalls, open_text_calls
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.voice import synthesize
from tests.end_to_end.service import settings_for
from tests.support.sources import ROOT

LEAPING_TIME = True

EXAMPLE = ROOT / "docs" / "agent.example.tests.yaml"
AGENT = """
prompt: You answer the telephone of a clinic.
language: en
greeting: {en: "Garden Street clinic, hello! How can I help you today? We are open from nine to six, every day."}
"""


@asynccontextmanager
async def opened(
    folder: Path, path: Path
) -> AsyncIterator[tuple[RunningSandbox, Settings, list[Prepared], TextCalls, KeptAnswers]]:
    async with running_sandbox() as sandbox:
        settings = settings_for(folder / "data", sandbox, tts_speed=1.0, transfer_targets={"sales": "+15550100"})
        agents = Agents(settings)
        prepared = prepare([read_test_file(path)], agents)
        async with open_text_calls(settings, agents, [each.agent for each in prepared]) as calls:
            yield sandbox, settings, prepared, calls, KeptAnswers(folder / "answers")


async def attempts(folder: Path, path: Path, *, is_live: bool = False) -> dict[str, Attempt]:
    """The first attempt at each scenario. ``is_live``: as with real vendors, whom nobody tells what the caller says."""
    async with opened(folder, path) as (sandbox, settings, prepared, calls, kept):
        url = None if is_live else sandbox.url
        options = {"sandbox_url": url, "parallel": len(prepared), "dry_tools": True}
        async with open_audio_calls(settings, prepared, calls, kept, **options) as holder:  # type: ignore[arg-type]
            runner = ScenarioRunner(holder, calls.generator, kept)
            results = await run_all(prepared, runner, repeat=1, parallel=len(prepared))
    return {result.name: result.attempts[0] for result in results}


def written(folder: Path, scenarios: str) -> Path:
    (folder / "clinic.yaml").write_text(AGENT)
    path = folder / "clinic.tests.yaml"
    path.write_text(f"language: en\nscenarios:\n{scenarios}")
    return path


async def test_the_example_passes_over_sound(tmp_path: Path) -> None:
    made = await attempts(tmp_path, EXAMPLE)

    assert {name: [check.why for check in each.checks if not check.is_met] for name, each in made.items()} == {
        each.name: [] for each in read_test_file(EXAMPLE).scenarios
    }
    assert not [each.problem for each in made.values() if each.problem]
    changed = made["changes their mind in a noisy street"].rows
    assert {"agent.interrupted", "caller.sound_started"} <= {row.type for row in changed}
    persona = made["a persona who is in a hurry"].rows
    assert "agent.interrupted" in {row.type for row in persona}
    assert all(row.type != "provider.used" or row.data["cost"] is not None for row in persona)


async def test_what_fails_over_sound_says_at_which_turn_and_a_caller_has_their_own_sound(tmp_path: Path) -> None:
    own = synthesize("I want a human, please.", "en", 8000).pcm
    with open_wave(str(tmp_path / "own.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(own)
    path = written(
        tmp_path,
        """
  - name: slow
    caller: {lines: [When are you open?], listens: 1}
    expect: [{latency: 0.0}, {turns: 0}, {end_reason: caller_hangup}]
  - name: transferred
    caller: {lines: [{say: "I want a human, please.", pause: 1.2, sound: own.wav}]}
    expect: [{tool: transfer, arguments: {target: sales}}, {end_reason: transferred}, {said: midnight}]
""",
    )
    made = await attempts(tmp_path, path)

    missed = {
        name: [(check.expectation, check.turn) for check in each.checks if not check.is_met]
        for name, each in made.items()
    }
    assert missed == {"slow": [("latency: 0.0", 2), ("turns: 0", 2)], "transferred": [("said: midnight", 2)]}
    [turn] = [row.data for row in made["transferred"].rows if row.type == "turn.taken"]
    assert turn["ended_t"] - turn["started_t"] == pytest.approx(len(own) / 16000, abs=0.4)


async def test_with_real_vendors_the_callers_voice_is_the_vendors_and_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "\n  - {name: a, caller: {lines: [Good morning], listens: 1}, expect: [{turns: 3}]}")
    made = await attempts(tmp_path, path, is_live=True)

    assert made["a"].passed, made["a"]
    assert "hello" in {row.data["text"] for row in made["a"].rows if row.type == "turn.taken"}, "no script says what"
    kept = b"".join(each.read_bytes() for each in (tmp_path / "data" / "test-phrases").glob("*.phrase"))
    assert b'"Good"' in kept
