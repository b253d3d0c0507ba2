"""An answer gets the passages that fit, or does without them: it never waits long, and never fails for them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from structlog.testing import capture_logs

from app.calls.agent.knowledge import Knowledge
from app.calls.live.call_clock import CallClock
from app.calls.live.playback import PlaybackItem
from app.calls.live.speech_track import SpeechTrack
from app.calls.live.turn_knowledge import SEARCH_SECONDS_MAX, TurnKnowledge
from app.conversation import events as ev
from app.conversation.knowledge_events import KnowledgeSearched
from app.conversation.turns import UtteranceKind
from app.models import Message
from app.ports.knowledge import Passage

VIRTUAL_TIME = True

HOURS = Passage("a.md", "Hours", 3, "Open from nine.")
SATURDAY = Passage("a.md", "Saturday", 7, "Closed.")
PROMPT, LAST = Message("system", "Be kind."), Message("system", "Answer in English.")


class Files:
    """A search with fixed answers, which keeps what it was asked."""

    def __init__(
        self, found: dict[str, list[Passage]], *, seconds: float = 0.0, error: Exception | None = None
    ) -> None:
        self.asked: list[str] = []
        self._found = found
        self._seconds = seconds
        self._error = error

    async def search(self, words: str, *, limit: int) -> Sequence[Passage]:
        self.asked.append(words)
        await asyncio.sleep(self._seconds)
        if self._error is not None:
            raise self._error
        return self._found.get(words, [])[:limit]


async def answer(files: Files | None, *said: str) -> tuple[list[Message], list[ev.Event]]:
    emitted: list[ev.Event] = []
    known = Knowledge((("a.md", "0"),), None if files else "all", files, 1000)
    turn = TurnKnowledge(known, clock=CallClock(datetime.now(UTC)), emit=emitted.append)  # noqa: TID251
    item = PlaybackItem(5, 3, UtteranceKind.REPLY, "en", SpeechTrack(16000))
    messages = [PROMPT, *(Message("user", words) for words in said), LAST]
    return await turn.added(item, messages), emitted


async def test_the_passages_stand_before_the_last_message_so_that_the_talk_before_them_stays_the_same() -> None:
    files = Files({"When?": [HOURS]})

    messages, [row] = await answer(files, "Hello", "When?")

    assert files.asked == ["When?", "Hello"]
    assert messages[:3] == [PROMPT, Message("user", "Hello"), Message("user", "When?")]
    assert messages[4] == LAST
    assert "[a.md: Hours]\nOpen from nine." in messages[3].content
    assert isinstance(row, KnowledgeSearched)
    assert (row.turn, row.speech, row.problem) == (3, 5, None)
    assert row.passages == ({"file": "a.md", "heading": "Hours", "line": 3, "text": "Open from nine."},)


async def test_a_short_question_brings_what_the_one_before_was_about() -> None:
    files = Files({"Are you open?": [HOURS, SATURDAY], "And on Saturdays?": [SATURDAY]})

    _, [row] = await answer(files, "Are you open?", "And on Saturdays?")

    assert isinstance(row, KnowledgeSearched)
    assert [passage["heading"] for passage in row.passages] == ["Saturday", "Hours"]


async def test_nothing_that_fits_is_a_row_too() -> None:
    messages, [row] = await answer(Files({}), "Hello")

    assert messages == [PROMPT, Message("user", "Hello"), LAST]
    assert isinstance(row, KnowledgeSearched)
    assert (row.passages, row.problem) == ((), None)


async def test_a_late_search_is_not_waited_for() -> None:
    began = asyncio.get_running_loop().time()

    messages, [row] = await answer(Files({"Hello": [HOURS]}, seconds=9.0), "Hello")

    assert asyncio.get_running_loop().time() - began == SEARCH_SECONDS_MAX
    assert len(messages) == 3
    assert isinstance(row, KnowledgeSearched)
    assert row.problem == "late"


async def test_a_search_that_fails_is_logged_and_the_caller_answered() -> None:
    with capture_logs() as log:
        messages, [row] = await answer(Files({}, error=RuntimeError("broken")), "Hello")

    assert len(messages) == 3
    assert isinstance(row, KnowledgeSearched)
    assert row.problem == "failed"
    assert [entry["event"] for entry in log] == ["knowledge.not_searched"]


async def test_nothing_is_searched_when_all_is_in_the_prompt_or_nobody_has_asked() -> None:
    files = Files({})

    assert (await answer(None, "Hello"))[1] == []
    assert (await answer(files))[1] == []
    assert files.asked == []
