"""A call that was really held is compressed by the service, played, and erased without a trace."""

import asyncio
from pathlib import Path

import numpy as np

from app.storage.compressions import REST_SECONDS
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, hold, score
from tests.end_to_end.service import running_service
from tests.support.databases import change

LEAPING_TIME = True
TALK = score(
    waits_for_agent(QUIET),
    says("Where is my parcel?"),
    waits_for_agent(QUIET),
    says("Goodbye!"),
    waits_for_end(),
    replies=(
        {"text": "It has come to the warehouse, and you may fetch it tomorrow."},
        {"text": "Goodbye!", "tool_calls": END_CALL},
    ),
    language="en",
)


def due_now(database: Path) -> int:
    """The clock of the wall does not leap, so the job is moved instead. Returns how many there were."""
    return len(change(database, "UPDATE compression_jobs SET due_at = '2000-01-01T00:00:00.000Z' RETURNING call_id"))


def loudness(wav: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Of both sides, in tenths of a second."""
    rate = int.from_bytes(wav[24:28], "little")
    sound = np.frombuffer(wav[44:], "<i2").reshape(-1, 2)
    tenths = sound[: len(sound) // (rate // 10) * (rate // 10)].reshape(-1, rate // 10, 2)
    return np.asarray(tenths.astype(float).std(axis=1))


async def test_a_call_is_compressed_after_its_end_and_sounds_as_it_did(tmp_path: Path) -> None:
    async with running_service(tmp_path, greeting=GREETING) as service:
        call = await hold(service, TALK)
        folder = tmp_path / "recordings" / call.call_id
        async with service.async_client() as http:
            url = f"/calls/{call.call_id}/recording"
            await asyncio.sleep(REST_SECONDS / 2)
            before = await http.get(url)
            assert not (folder / "recording.opus").exists()
            assert due_now(tmp_path / "calls.db") == 1
            async with asyncio.timeout(60):
                while list(folder.glob("*.seg")):
                    await asyncio.sleep(1)

            after = await http.get(url)
            end = await http.get(url, headers={"Range": "bytes=-1000"})
            record = (await http.get(f"/calls/{call.call_id}")).json()
            assert (await http.get("/metrics")).text.count('voice_compressions_total{result="done"} 1.0') == 1
            compressed = (folder / "recording.opus").read_bytes()
            assert (await http.delete(f"/calls/{call.call_id}")).status_code == 204

    assert len(compressed) < 0.12 * len(before.content)
    assert after.content[:44] == before.content[:44]
    assert len(after.content) == len(before.content)
    assert end.content == after.content[-1000:]
    was, now = loudness(before.content), loudness(after.content)
    assert (now[was > 300] > 0.7 * was[was > 300]).all()
    assert (now[was == 0] < 60).all()
    assert record["recording"] == call.record["recording"] == {"status": "complete", "gaps": []}
    left = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(compressed[5000:5100] in content for content in left)
    assert not folder.exists()
