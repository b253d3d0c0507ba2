"""What can be had of one call: its explanation, the shape of its sound, and everything in one zip."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from app.agent_tests.file import read_test_file
from media.formats import AudioFormat
from media.recording import Recorder
from tests.cli.test_commands import run
from tests.end_to_end.service import RunningService, service_in_thread
from tests.routers.kept_calls import keep_call
from tests.routers.test_calls import assert_problem

AUDIO = AudioFormat("pcm_s16le", 8000)
FAILED = {"provider": "openai", "stage": "think", "code": "provider_timeout", "final": True, "answer": "lost"}
ROWS = [
    ("call.created", {"language": "en", "policy": {}}),
    ("call.answered", {"since_t": 0.0}),
    ("turn.taken", {"text": "Is Dr Ågren in?", "source": "speech", "started_t": 0.5, "ended_t": 1.5}),
    ("provider.failed", {**FAILED, "speech": 1, "request_id": "req_1"}),
    ("call.ended", {"reason": "provider_failure", "fault": "provider:openai"}),
]
ENDED = {"end_reason": "provider_failure", "fault": "provider:openai", "duration_seconds": 4.0}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("files")) as running:
        data = running.settings.data_dir
        keep_call(data, "call_heard", ROWS, recording=True, **ENDED)
        keep_call(data, "call_silent", ROWS, **ENDED)
        keep_call(data, "call_live", ROWS[:2], status="active")
        keep_call(data, "call_erased", ROWS, words_erased_at="2026-11-23T10:00:00.000Z", **ENDED)
        keep_call(data, "call_mute", [*ROWS[:2], ROWS[-1]], **ENDED)
        recorder = Recorder(running.settings.recordings_dir / "call_heard", "worker", AUDIO)
        recorder.caller(b"\x00\x40" * AUDIO.sample_rate, 0.0)
        recorder.close()
        assert recorder.join(60)
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def test_the_explanation_is_what_the_command_prints(
    service: RunningService, http: httpx.Client, tmp_path: Path
) -> None:
    printed = run(tmp_path, "explain", "call_heard", DATA_DIR=str(service.settings.data_dir)).stdout
    text = http.get("/calls/call_heard/explanation", params={"format": "text"})
    lines = http.get("/calls/call_heard/explanation").json()["lines"]

    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert [line.rstrip() for line in text.text.splitlines()] == [line.rstrip() for line in printed.splitlines()]
    assert [line["text"] for line in lines] == text.text.splitlines()
    assert "What went wrong (2):" in text.text
    wrong = [line["text"] for line in lines if line["tone"] == "wrong"]
    assert any("openai cannot think: provider_timeout (request req_1); given up" in line for line in wrong)


def test_a_live_call_is_explained_so_far(http: httpx.Client) -> None:
    assert "still active" in http.get("/calls/call_live/explanation", params={"format": "text"}).text


def test_the_waveform_has_both_sides(http: httpx.Client) -> None:
    shape = http.get("/calls/call_heard/waveform", params={"points": 10}).json()

    assert shape["seconds"] == pytest.approx(1.0, abs=0.05)
    assert (shape["caller"], shape["agent"]) == ([0.5] * 10, [0.0] * 10)
    assert_problem(http.get("/calls/call_silent/waveform"), 404, "call_not_found")
    assert_problem(http.get("/calls/call_live/waveform"), 409, "call_live")


def test_everything_is_in_the_zip(http: httpx.Client) -> None:
    answer = http.get("/calls/call_heard/archive")
    with ZipFile(io.BytesIO(answer.content)) as files:
        assert files.testzip() is None
        found = {name.removeprefix("call_heard/"): files.read(name) for name in files.namelist()}

    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/zip", "no-store")
    assert answer.headers["content-disposition"] == 'attachment; filename="call_heard.zip"'
    assert json.loads(found["call.json"]) == http.get("/calls/call_heard").json()
    assert json.loads(found["events.json"]) == http.get("/calls/call_heard/events").json()
    assert found["transcript.txt"].decode() == http.get("/calls/call_heard/transcript?format=text").text
    assert found["explanation.txt"].decode() == http.get("/calls/call_heard/explanation?format=text").text
    assert json.loads(found["webhooks.json"]) == []
    assert found["recording.wav"] == http.get("/calls/call_heard/recording").content


def test_the_zip_of_a_call_without_a_recording_has_the_rest(http: httpx.Client, tmp_path: Path) -> None:
    with ZipFile(io.BytesIO(http.get("/calls/call_silent/archive").content)) as files:
        assert {Path(name).name for name in files.namelist()} == {
            *("call.json", "events.json", "transcript.txt", "explanation.txt", "webhooks.json"),
        }
    assert_problem(http.get("/calls/call_live/archive"), 409, "call_live")


def test_a_call_becomes_a_test_with_its_callers_sound(http: httpx.Client, tmp_path: Path) -> None:
    alone = http.get("/calls/call_heard/scenario")
    whole = http.get("/calls/call_heard/scenario", params={"sound": "true"})
    with ZipFile(io.BytesIO(whole.content)) as files:
        files.extractall(tmp_path)

    assert alone.headers["content-type"] == "application/yaml"
    assert alone.headers["content-disposition"] == 'attachment; filename="call_heard.tests.yaml"'
    assert whole.headers["content-disposition"] == 'attachment; filename="call_heard.tests.zip"'
    test = read_test_file(tmp_path / "call_heard" / "call_heard.tests.yaml")
    [scenario] = test.scenarios
    line = (scenario.caller.lines or [])[0]
    assert not isinstance(line, str)
    sound = test.sound(line)
    assert (line.say, sound) == ("Is Dr Ågren in?", tmp_path / "call_heard" / "call_heard.sound" / "01.wav")
    assert sound is not None
    assert len(sound.read_bytes()) > 8000
    assert "sound" not in alone.text


def test_a_test_needs_words_and_an_end(http: httpx.Client) -> None:
    with ZipFile(io.BytesIO(http.get("/calls/call_silent/scenario?sound=true").content)) as files:
        assert files.namelist() == ["call_silent/call_silent.tests.yaml"]
    assert_problem(http.get("/calls/call_live/scenario"), 409, "call_live")
    assert_problem(http.get("/calls/call_erased/scenario"), 404, "call_not_found")
    assert_problem(http.get("/calls/call_mute/scenario"), 404, "call_not_found")
