"""Finds, for each answer, what the agent's files say about the caller's words."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict

import structlog

from app.calls.agent.knowledge import Knowledge, passages_block
from app.calls.live.call_clock import CallClock
from app.calls.live.playback import PlaybackItem
from app.conversation import events as ev
from app.conversation.knowledge_events import KnowledgeSearched
from app.models import Message
from app.observability.tracebacks import describe
from app.ports.knowledge import KnowledgeSearch, Passage

log = structlog.get_logger(__name__)

SEARCH_SECONDS_MAX = 0.1
"""An answer does not wait longer for the search. It takes some milliseconds."""
_TURNS = 2
"""The caller's last turns: "and on Saturdays?" is found with the question before it."""


class TurnKnowledge:
    """Adds the passages for an answer to its prompt, and emits which ones these are."""

    def __init__(self, knowledge: Knowledge | None, *, clock: CallClock, emit: Callable[[ev.Event], None]) -> None:
        """Without ``knowledge``, or if all of it is in the prompt, nothing is searched."""
        self._knowledge = knowledge
        self._clock = clock
        self._emit = emit

    async def added(self, item: PlaybackItem, messages: Sequence[Message]) -> list[Message]:
        """The messages with the passages before the last one. Takes 0.1 s at most, and never fails."""
        knowledge = self._knowledge
        questions = _questions(messages)
        if knowledge is None or knowledge.search is None or not questions:
            return list(messages)
        began, problem = self._clock.call_seconds(), None
        found: list[Passage] = []
        try:
            async with asyncio.timeout(SEARCH_SECONDS_MAX):
                found = knowledge.chosen(await _found(knowledge.search, questions, knowledge.passages_max))
        except TimeoutError:
            problem = "late"
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the files, the caller gets an answer
            problem = "failed"
            log.error("knowledge.not_searched", error=describe(error))
        seconds = round(self._clock.call_seconds() - began, 4)
        passages = tuple(asdict(passage) for passage in found)
        self._emit(KnowledgeSearched(item.turn, item.number, seconds, passages, problem))
        if not found:
            return list(messages)
        return [*messages[:-1], Message("system", passages_block(found)), *messages[-1:]]


async def _found(search: KnowledgeSearch, questions: Sequence[str], limit: int) -> list[Passage]:
    """What fits the last question, then what fits the one before it."""
    found: list[Passage] = []
    for question in questions:
        if len(found) < limit:
            more = await search.search(question, limit=limit)
            found += [passage for passage in more if passage not in found]
    return found


def _questions(messages: Sequence[Message]) -> list[str]:
    """The caller's last turns, the last one first."""
    said = [message.content for message in messages if message.role == "user"]
    return said[: -_TURNS - 1 : -1]
