"""A call that was really held is erased, and its words and its sound are looked for in every byte that is left."""

from pathlib import Path

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, hold, score
from tests.end_to_end.service import running_service

NUMBER = "+79160001122"
QUESTION = "Где моя посылка?"
ANSWER = "Она уже на складе, приходите завтра."
TALK = score(
    waits_for_agent(QUIET),
    says(QUESTION),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": ANSWER}, {"text": "Всего хорошего!", "tool_calls": END_CALL}),
)


async def test_of_an_erased_call_no_word_no_number_and_no_sound_is_left(tmp_path: Path) -> None:
    async with running_service(tmp_path, greeting=GREETING) as service:
        call = await hold(service, TALK, number=NUMBER)
        assert QUESTION in call.said("user")
        assert ANSWER in call.said("assistant")
        sound = _loudest(next((tmp_path / "recordings" / call.call_id).glob("*.seg")).read_bytes())
        before = _kept(tmp_path)
        marks = [text.encode() for text in (QUESTION, ANSWER, NUMBER)]  # the call's id stays, with its seal
        assert all(mark in before for mark in (*marks, sound))

        async with service.async_client() as http:
            assert (await http.delete(f"/calls/{call.call_id}")).status_code == 204
            assert (await http.get(f"/calls/{call.call_id}")).status_code == 404

        after = _kept(tmp_path)
        assert not [mark for mark in (*marks, sound) if mark in after]
        assert not list((tmp_path / "recordings").iterdir())


def _loudest(recorded: bytes) -> bytes:
    """A piece that is no silence."""
    return max(
        (recorded[start : start + 200] for start in range(0, len(recorded), 200)), key=lambda piece: len({*piece})
    )


def _kept(folder: Path) -> bytes:
    """Everything on the disk but the prepared lines, which are nobody's words."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "phrases" not in path.parts)
    return b"".join(path.read_bytes() for path in files)
