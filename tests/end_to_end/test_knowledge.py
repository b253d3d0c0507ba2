"""Agents that know what stands in their operator's files: callers ask, and the model answers from it."""

import asyncio
import json
from pathlib import Path
from typing import Any

from sandbox.caller.score import Score, says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import QUIET, hold, score
from tests.end_to_end.service import RunningService, running_service

LEAPING_TIME = True

AGENT = "prompt: You answer for the {name}.\nlanguage: en\ngreeting: {{en: Hello.}}\nknowledge: [facts.md]\n"
ROOMS = "\n\n".join(f"## Room {number}\nNobody knows of it." for number in range(300))
CLINIC = f"""\
# Clinic

## Parking
The yard behind the clinic has free parking places.

## Rooms
{ROOMS}

## X-ray
An X-ray picture costs forty dollars.
"""
SHOP = "Parking in front of the shop costs two dollars.\n"


def asks(*questions: str) -> Score:
    """The caller asks, hears each answer, and says goodbye. The model has no script."""
    talk = [step for question in questions for step in (says(question), waits_for_agent(QUIET))]
    return score(waits_for_agent(QUIET), *talk, says("Goodbye."), waits_for_end(), language="en", patience=20)


def an_agent(folder: Path, name: str, facts: str) -> None:
    """In a folder of its own, so that both may have a file of the same name."""
    (folder / f"{name}.yaml").write_text(AGENT.format(name=name).replace("facts.md", f"{name}/facts.md"))
    (folder / name).mkdir()
    (folder / name / "facts.md").write_text(facts)


def asked_of_the_model(service: RunningService, call_id: str) -> list[str]:
    kept = service.sandbox.stage.requests
    return [json.dumps(each.body) for each in kept if each.route == "responses" and each.call_id == call_id]


def sources(turn: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(found["file"], found["heading"], found["line"]) for found in turn["knowledge"]]


async def test_each_of_two_agents_answers_from_its_own_files(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    an_agent(folder, "clinic", CLINIC)
    an_agent(folder, "shop", SHOP)
    async with running_service(tmp_path / "data", agents_dir=folder) as service, asyncio.TaskGroup() as tasks:
        both = [
            tasks.create_task(hold(service, talk, agent=name), name=name)
            for name, talk in (
                ("clinic", asks("Are there parking places?", "What does an X-ray picture cost?")),
                ("shop", asks("What does the parking cost?")),
            )
        ]
        clinic, shop = await both[0], await both[1]
        prompts = {held.call_id: asked_of_the_model(service, held.call_id) for held in (clinic, shop)}

    assert clinic.said("assistant")[1:3] == [
        "The yard behind the clinic has free parking places.",
        "An X-ray picture costs forty dollars.",
    ]
    assert shop.said("assistant")[1] == "Parking in front of the shop costs two dollars."
    # All that the shop knows is in its prompt. For the clinic each answer has what fits the caller's words.
    assert not shop.rows("knowledge.searched")
    created = [held.rows("call.created")[0]["data"]["agent"]["knowledge"] for held in (clinic, shop)]
    assert [known["in_prompt"] for known in created] == [False, True]
    assert [list(known["files"]) for known in created] == [["clinic/facts.md"], ["shop/facts.md"]]
    first, second = [turn for turn in clinic.record["turns"] if turn["role"] == "assistant"][1:3]
    assert sources(first)[0] == ("clinic/facts.md", "Clinic › Parking", 4)
    assert sources(second)[0][1] == "Clinic › X-ray"
    rows = clinic.rows("knowledge.searched")
    assert rows[0]["turn"] == first["number"]
    assert rows[0]["data"]["passages"][0]["text"] == "The yard behind the clinic has free parking places."
    assert all(row["data"]["problem"] is None for row in rows)
    assert "[clinic/facts.md: Clinic \\u203a Parking]" in prompts[clinic.call_id][0]
    assert not any("two dollars" in prompt for prompt in prompts[clinic.call_id])
    assert all("two dollars" in prompt and "forty" not in prompt for prompt in prompts[shop.call_id])


async def test_callers_hear_what_a_file_says_now(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    an_agent(folder, "shop", SHOP)
    async with running_service(tmp_path / "data", agents_dir=folder) as service:
        before = await hold(service, asks("What does the parking cost?"), agent="shop")
        new = folder / "shop" / "new"
        new.write_text(SHOP.replace("two", "three"))
        new.replace(folder / "shop" / "facts.md")
        await asyncio.sleep(5.0)  # of the leaping clock
        after = await hold(service, asks("What does the parking cost?"), agent="shop")

    assert [held.said("assistant")[1].split()[-2] for held in (before, after)] == ["two", "three"]
    assert before.record["agent_hash"] != after.record["agent_hash"]
