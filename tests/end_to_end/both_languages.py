"""The same short call in Russian and in English at once: a question, its answer, and a goodbye."""

import asyncio
from collections.abc import Mapping

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, Held, hold, score
from tests.end_to_end.service import RunningService

QUESTIONS = {"ru": ("Когда вы открыты?", "До свидания!"), "en": ("When are you open?", "Goodbye!")}
QUIET = 2.5
"""So long the caller listens whether the agent has more to say."""
SILENCE_SECONDS = 2.0
SLOWER_SECONDS = 3.2
"""From the caller's last sound to the answer: two seconds more than without a fault."""

Answers = Mapping[str, tuple[str, str]]
"""By language: what the model answers to the question, and to the goodbye."""


async def both(service: RunningService, answers: Answers) -> dict[str, Held]:
    """Hold a call in each language of ``answers``."""
    async with asyncio.TaskGroup() as tasks:
        calls = {name: tasks.create_task(_a_call(service, name, texts), name=name) for name, texts in answers.items()}
    return {name: call.result() for name, call in calls.items()}


async def _a_call(service: RunningService, language: str, answers: tuple[str, str]) -> Held:
    question, farewell = QUESTIONS[language]
    answer, goodbye = answers
    wanted = score(
        waits_for_agent(QUIET),
        says(question),
        waits_for_agent(QUIET),
        says(farewell),
        waits_for_end(),
        replies=({"text": answer}, {"text": goodbye, "tool_calls": END_CALL}),
        language=language,
        patience=20,
    )
    return await hold(service, wanted, metadata={"language_hint": language})
