"""No file is touched on the event loop while a call lives: a disk that hangs would hold every call up."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, hold, score
from tests.end_to_end.service import RunningService, running_service

TALK = score(
    waits_for_agent(QUIET),
    says("Когда вы открыты?"),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": "Мы открыты с девяти."}, {"text": "Всего хорошего!", "tool_calls": END_CALL}),
)
FILE_EVENTS = {
    "open", "os.chmod", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir",
    "os.symlink", "os.truncate", "os.utime", "shutil.move", "shutil.rmtree", "tempfile.mkstemp", "glob.glob",
}  # fmt: skip

_seen: list[str] | None = None
_watched = 0


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in FILE_EVENTS and threading.get_ident() == _watched:
        _seen.append(f"{event} {arguments[0]}")


sys.addaudithook(_audit)  # it cannot be taken away again, so it watches on demand


@contextmanager
def file_events_of_this_thread() -> Iterator[list[str]]:
    global _seen, _watched
    seen: list[str] = []
    _seen, _watched = seen, threading.get_ident()
    try:
        yield seen
    finally:
        _seen = None


async def use_everything(service: RunningService) -> None:
    """A call from its beginning to its erasure, and every door that reads."""
    held = await hold(service, TALK)
    async with service.async_client() as http:
        for door in ("", "/recording", "/transcript", "/events"):
            assert (await http.get(f"/calls/{held.call_id}{door}")).is_success
        for door in ("/calls", "/health", "/metrics", "/", "/static/dashboard.js"):
            assert (await http.get(door)).is_success
        assert (await http.delete(f"/calls/{held.call_id}")).is_success


async def test_no_file_is_touched_on_the_event_loop_during_a_call(tmp_path: Path) -> None:
    async with running_service(tmp_path / "data", greeting=GREETING) as service:
        await use_everything(service)  # libraries load parts of their own code when it is first needed
        with file_events_of_this_thread() as seen:
            await use_everything(service)
        with file_events_of_this_thread() as control:
            (tmp_path / "touched").write_text("")
    assert seen == []
    assert len(control) == 1
