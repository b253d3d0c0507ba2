"""A whole call in every format: what the caller lived, the record, the journal, the transcript and the recording."""

import asyncio
import io
import json
import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from sandbox.caller.media_format import MediaFormat
from sandbox.caller.report import CallReport
from sandbox.caller.score import backchannels, interrupts, says, waits_for_agent, waits_for_end
from sandbox.carrier.telephone import Telephone
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, Held, hold, hold_all, score
from tests.end_to_end.service import RunningService, running_service, service_in_thread

NUMBER = "+79991234567"
LONG = "Приходите завтра утром прямо к открытию, тогда народу мало, и вы всё успеете ещё до обеда."
PRICE = "Обычный приём стоит совсем недорого, а для детей он у нас бесплатный."
SCORE = score(
    waits_for_agent(QUIET),
    says("Когда к вам прийти?"),
    interrupts("Стойте, а какая цена?", after=1.2),
    waits_for_agent(QUIET),
    says("Понятно, а для детей?"),
    backchannels("угу", after=0.8),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": LONG}, {"text": "Она невысокая."}, {"text": PRICE}, {"text": "Пока!", "tool_calls": END_CALL}),
)
FORMATS = {
    "pcm 8000": MediaFormat("pcm_s16le", 8000),
    "pcm 16000": MediaFormat("pcm_s16le", 16000),
    "pcm 24000": MediaFormat("pcm_s16le", 24000),
    "pcm 48000": MediaFormat("pcm_s16le", 48000),
    "mulaw 8000": MediaFormat("mulaw", 8000),
}
OF_A_RECORD_ALONE = ("agent_hash", "response_budget_seconds", "holds", "turns", "tools", "fillers", "failures")
"""What a list of calls leaves out."""
MADE_LATER = "analysis"
"""What a call gets after its end."""
each_format = pytest.mark.parametrize("name", FORMATS)


@dataclass
class Evening:
    """All the calls, and one of them as it was followed from outside."""

    calls: dict[str, Held]
    recordings: dict[str, bytes] = field(default_factory=dict)
    live: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Ids and rows of the server-sent events, over two connections."""
    connections: int = 0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("calls"), leaping=True, greeting=GREETING) as running:
        running.run(_prepare_lines(running))
        yield running


@pytest.fixture(scope="module")
def evening(service: RunningService) -> Evening:
    return service.run(_evening(service))


async def _prepare_lines(service: RunningService) -> None:
    """The first call of a format has the fixed lines prepared, which costs this machine time."""
    short = score(waits_for_agent(QUIET))
    await hold_all(service, {name: (short, Telephone(audio)) for name, audio in FORMATS.items()})


async def _evening(service: RunningService) -> Evening:
    async with service.async_client() as http, asyncio.TaskGroup() as tasks:
        before = {call["call_id"] for call in (await http.get("/calls")).json()["calls"]}
        holding = tasks.create_task(
            hold_all(service, {name: (SCORE, Telephone(audio)) for name, audio in FORMATS.items()}, number=NUMBER),
            name="calls",
        )
        result = Evening({})
        following = tasks.create_task(_follow(http, before, result), name="follower")
        result.calls = await holding
        await following
        for name, call in result.calls.items():
            answer = await http.get(f"/calls/{call.call_id}/recording")
            assert answer.headers["content-type"] == "audio/wav"
            result.recordings[name] = answer.content
    return result


async def _follow(http: httpx.AsyncClient, before: set[str], result: Evening) -> None:
    """Follow a new call live; leave in the middle, and come back with the last id seen."""
    new: set[str] = set()
    while not new:
        calls = (await http.get("/calls", params={"status": "active"})).json()["calls"]
        new = {call["call_id"] for call in calls} - before
        await asyncio.sleep(0.05)
    path, last = f"/calls/{min(new)}/events", 0
    for leave_after in (12, 10_000):
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last else {})}
        result.connections += 1
        async with http.stream("GET", path, headers=headers, timeout=30) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    last = int(line[4:])
                elif line.startswith("data: "):
                    result.live.append((last, json.loads(line[6:])))
                    if last == leave_after:
                        break


@each_format
def test_the_call_is_held_to_its_end(evening: Evening, name: str) -> None:
    report = evening.calls[name].report
    assert (report.completed, report.ended_by, report.end_reason, report.close_code) == (
        True,
        "agent",
        "agent_hangup",
        1000,
    )


@each_format
def test_every_question_is_answered_in_time(evening: Evening, name: str) -> None:
    report = evening.calls[name].report
    assert len(report.responses) == 4
    assert max(report.responses) < 1.5


@each_format
def test_the_agent_falls_silent_when_it_is_interrupted(evening: Evening, name: str) -> None:
    interruption = next(each for each in evening.calls[name].report.utterances if each.kind == "interrupts")
    assert interruption.agent_stopped_after is not None
    assert interruption.agent_stopped_after < 0.4


@each_format
def test_the_record_has_the_turns_as_they_were(evening: Evening, name: str) -> None:
    call = evening.calls[name]
    assert call.said("user") == [
        "Когда к вам прийти?",
        "Стойте, а какая цена?",
        "Понятно, а для детей?",
        "До свидания!",
    ]
    answers = [turn for turn in call.record["turns"] if turn["role"] == "assistant"]
    assert [turn["text_generated"] for turn in answers] == [GREETING, LONG, "Она невысокая.", PRICE, "Пока!"]
    assert [turn["interrupted"] for turn in answers] == [False, True, False, False, False]
    assert [turn["text"] for turn in answers if not turn["interrupted"]] == [
        GREETING,
        "Она невысокая.",
        PRICE,
        "Пока!",
    ]
    cut = answers[1]
    assert 0 < len(cut["text"]) < len(LONG)
    assert LONG.startswith(cut["text"])
    assert [turn["number"] for turn in call.record["turns"]] == sorted(turn["number"] for turn in call.record["turns"])
    assert [turn["latency"] is None for turn in answers] == [True, False, False, False, False]


@each_format
def test_the_times_of_the_turns_are_those_of_the_call(evening: Evening, name: str) -> None:
    call = evening.calls[name]
    turns = [turn for turn in call.record["turns"] if turn["role"] == "user"]
    truths = [each for each in call.report.utterances if each.kind != "backchannels"]
    late = 0.3 + call.report.lateness.maximum
    answered = turns[0]["started_at"] - truths[0].started_at  # the caller's clock begins when ``ready`` arrives
    assert abs(answered) < 1.0
    for turn, truth in zip(turns, truths, strict=True):
        assert turn["started_at"] - answered == pytest.approx(truth.started_at, abs=late)
        assert turn["ended_at"] - answered == pytest.approx(truth.ended_at, abs=late)
    for turn in call.record["turns"]:
        assert 0 <= turn["started_at"] < turn["ended_at"] <= call.record["duration_seconds"]


@each_format
def test_the_stages_of_an_answer_add_up_to_what_the_caller_waited(evening: Evening, name: str) -> None:
    call = evening.calls[name]
    latencies = [turn["latency"] for turn in call.record["turns"] if turn["latency"]]
    assert len(latencies) == len(call.report.responses)
    for latency, waited in zip(latencies, call.report.responses, strict=True):
        stages = ("end_of_turn", "llm_first_token", "first_clause", "tts_first_audio", "playout")
        assert sum(latency[stage] for stage in stages) == pytest.approx(latency["total"], abs=0.001)
        assert all(latency[stage] >= 0 for stage in stages)
        assert (latency["budget_kept"], latency["filler_at"]) == (True, None)
        assert -0.03 < waited - latency["total"] < 0.5 + call.report.lateness.maximum
    assert call.record["latency"]["total"]["count"] == len(latencies)


@each_format
def test_the_journal_is_numbered_and_never_goes_back(evening: Evening, name: str) -> None:
    call = evening.calls[name]
    assert [row["seq"] for row in call.journal] == list(range(1, len(call.journal) + 1))
    assert all(before["t"] <= after["t"] for before, after in pairwise(call.journal))
    assert all(before["at"] <= after["at"] for before, after in pairwise(call.journal))
    assert call.journal[0]["type"] == "call.created"
    assert call.journal[-1]["type"] == "call.ended"
    assert set(call.journal[0]["data"]["agent"]) >= {"prompt", "models", "chains", "voices", "code_version"}
    assert call.journal[0]["data"]["policy"]["max_response_seconds"] == 1.5


@each_format
def test_the_caller_is_shown_the_journal_as_it_is_written(evening: Evening, name: str) -> None:
    call = evening.calls[name]
    assert list(call.report.events) == call.journal


def test_a_follower_sees_the_same_rows_live_though_it_left_in_between(evening: Evening) -> None:
    followed = next(call for call in evening.calls.values() if call.journal[0] == evening.live[0][1])
    assert evening.connections == 2
    assert [number for number, _ in evening.live] == list(range(1, len(followed.journal) + 1))
    assert [row for _, row in evening.live] == followed.journal


@each_format
def test_the_record_says_who_called_what_it_cost_and_how_it_ended(evening: Evening, name: str) -> None:
    record = evening.calls[name].record
    assert (record["status"], record["direction"], record["end_reason"], record["fault"], record["language"]) == (
        "ended",
        "web",
        "agent_hangup",
        "none",
        "ru",
    )
    assert (record["caller_number"], record["metadata"]) == (NUMBER, {"language_hint": "ru"})
    assert record["started_at"] <= record["answered_at"] <= record["ended_at"]
    assert record["duration_seconds"] == pytest.approx(evening.calls[name].report.ended_at, abs=1.0)
    assert record["costs"]["total"] == pytest.approx(sum(record["costs"][part] for part in ("stt", "llm", "tts")))
    assert (record["costs"]["telephony"], record["costs"]["currency"]) == (0.0, "USD")  # no telephone, no minutes
    assert record["unanswered"] == {"count": 0, "waited_seconds": []}
    assert record["abandoned"] is None
    assert record["token_usage"]["completion"] > 0
    assert len(record["provider_ids"]["requests"]) >= 4
    assert record["recording_available"] is True


@each_format
def test_the_transcript_is_the_turns_or_a_line_for_each(service: RunningService, evening: Evening, name: str) -> None:
    call = evening.calls[name]
    with service.client() as http:
        assert http.get(f"/calls/{call.call_id}/transcript").json()["turns"] == call.record["turns"]
        text = http.get(f"/calls/{call.call_id}/transcript", params={"format": "text"}).text
    spoken = [line for line in text.splitlines() if "] agent, filler: " not in line]  # a busy machine may need one
    lines = [re.fullmatch(r"\[\d+:\d\d\] (caller|agent): (\S.*)", line) for line in spoken]
    assert all(lines)
    assert [line[1] for line in lines if line] == ["agent", "caller"] * 4 + ["agent"]
    assert text.splitlines()[0] == f"[0:00] agent: {GREETING}"


def channels(wav: bytes) -> tuple[int, NDArray[np.int16], NDArray[np.int16]]:
    """Rate, caller, agent."""
    with wave.open(io.BytesIO(wav)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth()) == (2, 2)
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2").reshape(-1, 2)
        return reader.getframerate(), samples[:, 0], samples[:, 1]


def laid_out(report: CallReport, side: str, samples: int) -> NDArray[np.int16]:
    """One side of the call as it was at the caller's end."""
    laid = np.zeros(samples, np.int16)
    for piece in getattr(report, side):
        first = round(piece.at * report.format.sample_rate)
        part = piece.samples[: max(0, samples - first)]
        laid[first : first + len(part)] = part
    return laid


def envelope(samples: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    """Loudness of every millisecond."""
    size = rate // 1000
    whole = samples[: len(samples) // size * size].astype(np.float64).reshape(-1, size)
    levels: NDArray[np.float64] = np.sqrt(np.mean(whole**2, axis=1))
    return levels


def shift_ms(recorded: NDArray[np.float64], true: NDArray[np.float64]) -> int:
    """How much later than in truth it is in the recording, by the best match within 300 ms."""
    length = min(len(recorded), len(true))
    recorded, true = recorded[:length], true[:length]
    scores = [float(np.dot(np.roll(true, shift), recorded)) for shift in range(-300, 301)]
    return int(np.argmax(scores)) - 300


@each_format
def test_the_recording_has_the_caller_left_and_the_agent_right_as_they_were_heard(evening: Evening, name: str) -> None:
    report = evening.calls[name].report
    rate, left, right = channels(evening.recordings[name])
    assert rate == FORMATS[name].sample_rate
    assert len(left) / rate == pytest.approx(report.ended_at, abs=1.0)
    caller, agent = (envelope(laid_out(report, side, len(left)), rate) for side in ("said", "heard"))
    shifts = shift_ms(envelope(left, rate), caller), shift_ms(envelope(right, rate), agent)
    late_ms = 1100 * report.lateness.maximum  # what this machine was late itself
    assert max(map(abs, shifts)) <= 700
    assert abs(shifts[0] - shifts[1]) <= 80 + late_ms


@each_format
def test_the_recording_has_no_more_of_the_agent_than_the_caller_heard(evening: Evening, name: str) -> None:
    report = evening.calls[name].report
    rate, left, right = channels(evening.recordings[name])
    for recorded, side in ((left, "said"), (right, "heard")):
        true = envelope(laid_out(report, side, len(recorded)), rate)
        assert np.count_nonzero(envelope(recorded, rate) > 300) == pytest.approx(np.count_nonzero(true > 300), abs=60)


def test_calls_are_found_by_their_caller_and_paged(service: RunningService, evening: Evening) -> None:
    wanted = {call.call_id for call in evening.calls.values()}
    found: list[str] = []
    cursor: str | None = None
    with service.client() as http:
        while cursor is not None or not found:
            page = {"limit": "2", "from": NUMBER, "status": "ended", "direction": "web"}
            if cursor is not None:
                page["cursor"] = cursor
            answer = http.get("/calls", params=page).json()
            found += [call["call_id"] for call in answer["calls"]]
            cursor = answer["next_cursor"]
        assert http.get("/calls", params={"status": "active"}).json()["calls"] == []
        listed = http.get("/calls", params={"from": NUMBER}).json()["calls"]
    assert set(found) == wanted
    assert len(found) == len(wanted)
    for call in listed:
        record = next(each.record for each in evening.calls.values() if each.call_id == call["call_id"])
        kept = {name: value for name, value in record.items() if name not in OF_A_RECORD_ALONE}
        assert call | {MADE_LATER: None} == kept | {MADE_LATER: None}


def test_the_figures_of_the_calls_are_shown(service: RunningService, evening: Evening) -> None:
    with service.client() as http:
        figures = http.get("/metrics").text
    assert "voice_calls_active 0.0" in figures
    assert (
        f'voice_calls_total{{direction="web",end_reason="agent_hangup",fault="none"}} {len(evening.calls)}.0' in figures
    )
    assert f'voice_turn_latency_seconds_count{{stage="total"}} {4 * len(evening.calls)}.0' in figures
    for provider, operation in (("deepgram", "listen"), ("openai", "stream_reply"), ("cartesia", "utterance")):
        assert f'voice_provider_requests_total{{operation="{operation}",provider="{provider}",result="ok"}}' in figures
    assert "http_requests_total" in figures
    assert not [call.call_id for call in evening.calls.values() if call.call_id in figures]
    assert NUMBER not in figures


async def test_without_recording_there_is_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with running_service(tmp_path_factory.mktemp("off"), recording=False, greeting=GREETING) as service:
        call = await hold(service, score(waits_for_agent(QUIET)))
        assert call.record["recording_available"] is False
        async with service.async_client() as http:
            assert (await http.get(f"/calls/{call.call_id}/recording")).status_code == 404
        assert not (service.settings.recordings_dir / call.call_id).exists()
