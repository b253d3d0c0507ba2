"""The calls as data, from a database that other processes filled."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.times import ServiceTimes
from media.compression import compress_recording
from media.formats import AudioFormat
from media.recording import Recorder
from tests.end_to_end.service import RunningService, running_service, service_in_thread
from tests.media.talking import conversation, record
from tests.routers.kept_calls import INSERT_ROW, execute, keep_call
from tests.routers.test_dashboard import ENDS

END = "2026-10-02T00:01:00.000Z"
ENDED = [("call.created", {"language": "ru"}), ("call.answered", {}), ("call.ended", {"reason": "silence"})]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("calls")) as running:
        data = running.settings.data_dir
        for day in range(1, 6):
            moment = f"2026-11-0{day}T10:00:00.000Z"
            keep_call(
                data, f"call_{day}", ENDED, started_at=moment, created_at=moment, caller_number=f"+7999000000{day}"
            )
        keep_call(data, "call_live", status="active", started_at="2026-11-21T10:00:00.000Z", direction="inbound")
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [call["call_id"] for call in answer.json()["calls"]]


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "code", "detail"} <= set(document)
    assert (document["status"], document["code"]) == (status, code)
    return document


def test_calls_are_listed_newest_first_and_without_turns(http: httpx.Client) -> None:
    answer = http.get("/calls")
    assert ids(answer) == ["call_live", "call_5", "call_4", "call_3", "call_2", "call_1"]
    assert answer.json()["next_cursor"] is None
    assert all("turns" not in call for call in answer.json()["calls"])


def test_pages_follow_one_another_until_the_cursor_is_null(http: httpx.Client) -> None:
    seen: list[str] = []
    cursor = None
    for _page in range(3):
        answer = http.get("/calls", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        seen += ids(answer)
        cursor = answer.json()["next_cursor"]
    assert seen == ["call_live", "call_5", "call_4", "call_3", "call_2", "call_1"]
    assert cursor is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"status": "active"}, ["call_live"]),
        ({"status": "ended", "limit": "1"}, ["call_5"]),
        ({"direction": "inbound"}, ["call_live"]),
        ({"direction": "outbound"}, []),
        ({"from": "+79990000003"}, ["call_3"]),
        ({"to": "+79990000003"}, []),
        ({"from": "0003"}, ["call_3"]),
        ({"from": " 79990000003"}, ["call_3"]),
        ({"text": "0000002"}, ["call_2"]),
        ({"text": "call_4"}, ["call_4"]),
        ({"text": "никогда"}, []),
        ({"agent": "nobody"}, []),
        ({"fault": "provider:openai"}, []),
        ({"fault": "none", "limit": "1"}, ["call_live"]),
        ({"end_reason": "silence"}, []),
        ({"since": "2026-11-04", "until": "2026-11-05T10:00:00Z"}, ["call_4"]),
        ({"since": "2026-11-05T13:00:00+03:00", "status": "ended"}, ["call_5"]),
    ],
)
def test_calls_are_found_by_what_is_known_of_them(http: httpx.Client, wanted: dict[str, str], found: list[str]) -> None:
    assert ids(http.get("/calls", params=wanted)) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"limit": "9" * 30},
        {"status": "finished"},
        {"direction": "sideways"},
        {"fault": "openai"},
        {"fault": "provider"},
        {"end_reason": "hangup"},
        {"agent": ""},
        {"text": ""},
        {"text": "x" * 201},
        {"from": ""},
        {"cursor": "nonsense"},
        {"cursor": "курсор"},
        {"cursor": "WzEsMl0="},
        {"since": "yesterday"},
        {"until": "2026-13-01"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
    ],
    ids=str,
)
def test_a_query_that_makes_no_sense_is_refused(http: httpx.Client, wrong: dict[str, str]) -> None:
    assert_problem(http.get("/calls", params=wrong), 422, "invalid_request")


def test_every_end_reason_can_be_filtered_by(http: httpx.Client) -> None:
    for reason in ENDS:
        assert http.get("/calls", params={"end_reason": reason, "limit": 1}).status_code == 200


@pytest.mark.parametrize("limit", [1, 200])
def test_the_bounds_of_the_limit_are_allowed(http: httpx.Client, limit: int) -> None:
    assert len(ids(http.get("/calls", params={"limit": limit}))) == min(limit, 6)


@pytest.mark.parametrize("what", ["", "/events", "/transcript", "/recording"])
def test_a_call_that_never_was_is_not_found(http: httpx.Client, what: str) -> None:
    assert_problem(http.get(f"/calls/call_none{what}"), 404, "call_not_found")


def test_a_path_or_a_method_that_does_not_exist_is_a_problem_document(http: httpx.Client) -> None:
    for path in ("/nothing", "/calls/", "/media/sessions/"):  # no redirect may take a key elsewhere
        assert_problem(http.get(path, follow_redirects=False), 404, "not_found")
    document = http.put("/calls/call_1")
    assert_problem(document, 405, "method_not_allowed")
    assert document.headers["allow"] == "GET"


def test_the_recording_of_a_live_call_is_a_conflict(http: httpx.Client) -> None:
    assert_problem(http.get("/calls/call_live/recording"), 409, "call_live")


def test_a_call_that_was_not_recorded_has_no_recording(http: httpx.Client) -> None:
    assert http.get("/calls/call_1").json()["recording_available"] is False
    assert_problem(http.get("/calls/call_1/recording"), 404, "call_not_found")


def test_a_compressed_recording_is_served_as_the_wav_that_it_was(service: RunningService, http: httpx.Client) -> None:
    data = service.settings.data_dir
    call_id = keep_call(data, "call_squeezed", ENDED, recording=True, started_at=END, ended_at=END)
    folder = data / "recordings" / call_id
    recorder = Recorder(folder, "worker", AudioFormat("pcm_s16le", 8000))
    record(recorder, AudioFormat("pcm_s16le", 8000), *conversation(8000, 12.0))
    recorder.close(60.0)
    assert recorder.join(60)
    url = f"/calls/{call_id}/recording"
    before, known = http.get(url), http.get(f"/calls/{call_id}").json()["recording"]
    assert compress_recording(folder).outcome == "done"

    after = http.get(url)
    size = len(before.content)
    pieces = {
        (first, end): http.get(url, headers={"Range": f"bytes={first}-{end - 1}"})
        for first, end in ((0, size), (0, 50), (40, 47), (200_001, 300_000), (size - 1, size), (size // 2, size))
    }
    resumed = http.get(url, headers={"Range": "bytes=9-", "If-Range": before.headers["etag"]})

    assert after.headers["content-length"] == before.headers["content-length"] == str(size)
    assert after.content[:44] == before.content[:44]
    assert after.content != before.content
    for (first, end), piece in pieces.items():
        assert (piece.status_code, piece.content) == (206, after.content[first:end])
        assert piece.headers["content-length"] == str(end - first)
    assert (resumed.status_code, resumed.content) == (200, after.content)  # the older file is not gone on with
    assert http.get(f"/calls/{call_id}").json()["recording"] == known
    assert http.delete(f"/calls/{call_id}").status_code == 204
    assert not folder.exists()
    assert_problem(http.get(url), 404, "call_not_found")


def test_a_player_gets_pieces_of_one_recording(service: RunningService, http: httpx.Client) -> None:
    data = service.settings.data_dir
    call_id = keep_call(data, "call_heard", ENDED, recording=True, started_at="2026-10-02T00:00:00.000Z", ended_at=END)
    recorder = Recorder(data / "recordings" / call_id, "worker", AudioFormat("pcm_s16le", 8000))
    recorder.caller(b"\x01\x02" * 8000, 0.0)
    recorder.close()
    assert recorder.join(60)
    whole = http.get(f"/calls/{call_id}/recording")
    assert (whole.status_code, whole.headers["cache-control"]) == (200, "no-store")

    url, tag = f"/calls/{call_id}/recording", whole.headers["etag"]
    piece = http.get(url, headers={"Range": "bytes=1000-1999", "If-Range": tag})
    others = {
        wanted: http.get(url, headers={"Range": wanted})
        for wanted in ("bytes=-10", "bytes=31000-", "bytes=0-0", "bytes=a-b", "bytes=0-1,5-9", "bytes=9-1", "bytes=-")
    }
    too_late = http.get(url, headers={"Range": "bytes=32044-"})
    other_file = http.get(url, headers={"Range": "bytes=0-1", "If-Range": '"another"'})

    assert (piece.status_code, piece.content) == (206, whole.content[1000:2000])
    assert piece.headers["content-range"] == "bytes 1000-1999/32044"
    content = whole.content
    assert [answer.content for answer in others.values()] == [content[-10:], content[31000:], b"R", *[content] * 4]
    assert_problem(too_late, 416, "range_not_satisfiable")
    assert too_late.headers["content-range"] == "bytes */32044"
    assert other_file.content == content
    assert [path.name for path in (data / "recordings" / call_id).glob("*.seg")] == ["worker.seg"]
    assert piece.headers["last-modified"] == whole.headers["last-modified"] == "Fri, 02 Oct 2026 00:01:00 GMT"
    assert http.delete(f"/calls/{call_id}").status_code == 204


def test_the_form_of_a_transcript_is_json_or_text(http: httpx.Client) -> None:
    assert http.get("/calls/call_1/transcript").json() == {"turns": [], "fillers": [], "tools": [], "failures": []}
    text = http.get("/calls/call_1/transcript", params={"format": "text"})
    assert (text.text, text.headers["content-type"]) == ("", "text/plain; charset=utf-8")
    assert_problem(http.get("/calls/call_1/transcript", params={"format": "pdf"}), 422, "invalid_request")


def test_the_journal_is_a_list_of_rows(http: httpx.Client) -> None:
    events = http.get("/calls/call_1/events").json()["events"]
    assert [(row["seq"], row["type"]) for row in events] == [
        (1, "call.created"),
        (2, "call.answered"),
        (3, "call.ended"),
    ]
    assert set(events[0]) == {"seq", "at", "t", "type", "turn", "v", "data"}


@pytest.mark.parametrize(("after", "left"), [(None, [1, 2, 3]), ("0", [1, 2, 3]), ("2", [3])])
def test_the_stream_of_an_ended_call_goes_on_after_the_last_event_and_ends(
    http: httpx.Client, after: str | None, left: list[int]
) -> None:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
    answer = http.get("/calls/call_1/events", headers=headers)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("retry: 2000\n\nid: ")
    assert [int(line[4:]) for line in answer.text.splitlines() if line.startswith("id: ")] == left


@pytest.mark.parametrize("after", ["3", "77"])
def test_a_client_that_has_seen_the_last_event_gets_204(http: httpx.Client, after: str) -> None:
    answer = http.get("/calls/call_1/events", headers={"Accept": "text/event-stream", "Last-Event-ID": after})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("after", ["-1", "first", "9" * 40])
def test_a_last_event_that_cannot_be_is_refused(http: httpx.Client, after: str) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": after}
    assert_problem(http.get("/calls/call_1/events", headers=headers), 422, "invalid_request")


def test_the_record_of_a_live_call_names_the_vendor_that_failed(service: RunningService, http: httpx.Client) -> None:
    failed = ("provider.failed", {"provider": "openai", "stage": "think", "code": "provider_timeout", "final": False})
    rows = [("call.created", {"language": "ru"}), failed, ("provider.failed", {**failed[1], "provider": "cartesia"})]
    keep_call(service.settings.data_dir, "call_failing", rows, status="active", started_at="2026-10-02T00:00:00.000Z")

    assert http.get("/calls/call_failing").json()["fault"] == "provider:openai"
    execute(service.settings.data_dir, "DELETE FROM calls WHERE call_id = 'call_failing'")


async def test_rows_of_another_process_come_live_and_the_stream_ends_with_the_call(service: RunningService) -> None:
    data = service.settings.data_dir
    call_id = keep_call(data, "call_followed", status="active", started_at="2026-10-01T00:00:00.000Z")
    lines: list[str] = []

    last_row = (call_id, 2, "x", 1.0, "call.ended", None, 1, '{"reason": "silence", "text": "до\\nсвидания"}')

    async with (
        asyncio.timeout(5),
        service.async_client() as http,
        http.stream("GET", f"/calls/{call_id}/events", headers={"Accept": "text/event-stream"}) as answer,
    ):
        async for line in answer.aiter_lines():
            lines.append(line)
            if line == "id: 1":
                execute(data, INSERT_ROW, last_row)
                execute(data, "UPDATE calls SET status = 'ended' WHERE call_id = ?", (call_id,))
    assert [line for line in lines if line.startswith(("id:", "event:"))] == [
        "id: 1",
        "event: call.created",
        "id: 2",
        "event: call.ended",
    ]
    data_lines = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert data_lines[1]["data"]["text"] == "до\nсвидания"
    execute(data, "DELETE FROM calls WHERE call_id = ?", (call_id,))


async def test_while_nothing_happens_the_stream_beats(tmp_path: Path) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "1"}
    times = ServiceTimes(heartbeat_seconds=0.01)
    async with asyncio.timeout(60), running_service(tmp_path, times=times) as quiet, quiet.async_client() as http:
        keep_call(tmp_path, "call_live", [("call.created", {})], status="active", direction="inbound")
        async with http.stream("GET", "/calls/call_live/events", headers=headers) as answer:
            lines = answer.aiter_lines()
            beats = [await anext(lines) for _ in range(6)]
    assert beats == ["retry: 2000", "", ": nothing new", "", ": nothing new", ""]


async def test_a_client_that_leaves_a_stream_is_forgotten(service: RunningService) -> None:
    async with service.async_client() as http, asyncio.timeout(5):
        async with http.stream("GET", "/calls/call_live/events", headers={"Accept": "text/event-stream"}) as answer:
            lines = answer.aiter_lines()
            assert [await anext(lines) for _ in range(3)] == ["retry: 2000", "", "id: 1"]
            assert "1 calls followed" in repr(service.services.journal_reader)
        while "0 calls followed" not in repr(service.services.journal_reader):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("door", "body"), [("hangup", None), ("say", {"text": "  Минуту. "})])
def test_what_is_asked_of_a_live_call_is_kept_for_its_owner(
    service: RunningService, http: httpx.Client, door: str, body: dict[str, str] | None
) -> None:
    answer = http.post(f"/calls/call_live/{door}", json=body)
    assert (answer.status_code, answer.json()["call_id"], answer.json()["status"]) == (202, "call_live", "active")
    kept = execute(service.settings.data_dir, "SELECT kind, data, taken_at FROM call_requests ORDER BY request_id")
    assert kept[-1] == (door, '{"text":"Минуту."}' if body else "{}", None)


@pytest.mark.parametrize(("door", "body"), [("hangup", None), ("say", {"text": "x"})])
def test_of_a_call_that_has_ended_or_never_was_nothing_can_be_asked(
    http: httpx.Client, door: str, body: dict[str, str] | None
) -> None:
    assert_problem(http.post(f"/calls/call_1/{door}", json=body), 409, "call_ended")
    assert_problem(http.post(f"/calls/call_9/{door}", json=body), 404, "call_not_found")


@pytest.mark.parametrize("text", ["", " \n", "x" * 1001, None, 7])
def test_only_some_words_can_be_said(http: httpx.Client, text: object) -> None:
    assert_problem(http.post("/calls/call_live/say", json={"text": text}), 422, "invalid_request")
    assert_problem(http.post("/calls/call_live/say", json={}), 422, "invalid_request")


def test_an_erased_call_is_gone_with_every_byte_of_it(service: RunningService, http: httpx.Client) -> None:
    data, said = service.settings.data_dir, "тайна-звонящего"
    rows = [("call.created", {"language": "ru"}), *[("turn.taken", {"text": said * 40})] * 200, ENDED[-1]]
    keep_call(
        data, "call_erased", rows, caller_number="+79160000001", room_sid="RM_erased", metadata=f'{{"a": "{said}"}}'
    )
    execute(
        data,
        "INSERT INTO webhook_inbox VALUES ('EV_1', 'participant_joined', 'call', 'RM_erased', ?, '{}', '2026', NULL)",
        (said,),
    )
    folder = data / "recordings" / "call_erased"
    folder.mkdir(parents=True)
    (folder / "a.seg").write_bytes(b"VASEG1" + said.encode())
    assert said.encode() in bytes_of(data)

    answer = http.delete("/calls/call_erased")

    assert (answer.status_code, answer.content) == (204, b"")
    assert said.encode() not in bytes_of(data)
    assert b"+79160000001" not in bytes_of(data)
    assert not list(folder.parent.iterdir())
    for door in ("", "/events", "/transcript", "/recording"):
        assert_problem(http.get(f"/calls/call_erased{door}"), 404, "call_not_found")
    assert_problem(http.delete("/calls/call_erased"), 404, "call_not_found")
    assert "call_1" in ids(http.get("/calls"))


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_call_that_is_alive_is_not_erased(http: httpx.Client) -> None:
    assert_problem(http.delete("/calls/call_live"), 409, "call_live")
    assert http.get("/calls/call_live").status_code == 200


@pytest.mark.parametrize("call_id", ["%2e%2e", "..%2f..", "call_none", "%00", "a" * 5000, "ё", "'; DROP TABLE calls"])
def test_what_is_not_a_call_is_not_erased(service: RunningService, http: httpx.Client, call_id: str) -> None:
    answer = http.delete(f"/calls/{call_id}")
    assert answer.status_code in (404, 405)
    assert (service.settings.data_dir / "calls.db").exists()


def test_a_tool_with_an_unknown_outcome_is_in_record_and_transcript(
    service: RunningService, http: httpx.Client
) -> None:
    called = {"speech": 2, "id": "t1", "name": "book_table", "arguments": "{}", "timeout_seconds": 8.0}
    rows: list[tuple[str, dict[str, Any]]] = [
        ("call.created", {"language": "en"}),
        ("call.answered", {"since_t": 1.0}),
        ("agent.tool_called", called),
        ("call.ended", {"reason": "crashed", "fault": "ours"}),
    ]
    call_id = keep_call(service.settings.data_dir, "call_with_a_tool", rows, end_reason="crashed")

    tool = {"id": "t1", "name": "book_table", "number": 0, "called_at": 1.0}
    lost = [{**tool, "outcome": "unknown", "status": None, "seconds": None}]
    assert http.get(f"/calls/{call_id}").json()["tools"] == lost
    assert http.get(f"/calls/{call_id}/transcript").json()["tools"] == lost
    text = http.get(f"/calls/{call_id}/transcript", params={"format": "text"}).text
    assert text == "[0:01] tool book_table: called, outcome unknown\n"


async def test_of_too_many_event_streams_the_next_is_sent_away_until_one_has_ended(service: RunningService) -> None:
    streams = service.app.state.event_streams
    limit, streams.limit = streams.limit, 2
    headers, path = {"Accept": "text/event-stream"}, "/calls/call_live/events"
    try:
        async with service.async_client() as http, http.stream("GET", path, headers=headers) as first:
            async with http.stream("GET", path, headers=headers) as second:
                assert (first.status_code, second.status_code) == (200, 200)
                refused = await http.get(path, headers=headers)
                assert_problem(refused, 503, "too_many_streams")
                assert refused.headers["retry-after"] == "5"
                assert (await http.get(path)).status_code == 200
            async with asyncio.timeout(30):
                while streams.open > 1:
                    await asyncio.sleep(0)
            async with http.stream("GET", path, headers=headers) as again:
                assert again.status_code == 200
    finally:
        streams.limit = limit
    assert limit == 200


def test_what_happened_beside_the_turns_is_told_at_its_moment(service: RunningService, http: httpx.Client) -> None:
    started = {"stamps": {}, "language": "en"}
    failed = {"provider": "openai", "stage": "think", "code": "provider_timeout", "final": False}
    reasons = {"reason": "no first token in time", "request_id": "req_7", "speech": 2, "answer": "lost"}
    rows: list[tuple[str, dict[str, Any]]] = [
        ("call.created", {"policy": {}, "language": "en", "telephony_usd_per_minute": None}),
        ("call.answered", {"since_t": 0.0}),
        ("agent.reply_started", {"speech": 1, "kind": "say", **started}),
        ("agent.finished", {"speech": 1, "heard": "Please hold.", "generated": "Please hold."}),
        ("turn.taken", {"text": "When?", "source": "speech", "started_t": 4.0, "ended_t": 4.5}),
        ("provider.failed", {**failed, **reasons}),
        ("agent.reply_started", {"speech": 3, "kind": "filler", **started}),
        ("agent.finished", {"speech": 3, "heard": "One moment.", "generated": "One moment."}),
        ("call.ended", {"reason": "caller_hangup", "fault": "provider:openai"}),
    ]
    call_id = keep_call(service.settings.data_dir, "call_spoiled", rows, end_reason="caller_hangup")

    call = http.get(f"/calls/{call_id}").json()
    assert call["unanswered"] == {"count": 1, "waited_seconds": [3.5]}
    assert call["abandoned"] == "waiting"
    assert {turn["kind"]: turn["waited_seconds"] for turn in call["turns"]} == {"say": None, "speech": 3.5}
    assert call["fillers"] == [{"number": 0, "text": "One moment.", "started_at": 6.0, "ended_at": 7.0}]
    assert [(failure["at"], failure["reason"], failure["request_id"]) for failure in call["failures"]] == [
        (5.0, "no first token in time", "req_7")
    ]
    assert call["provider_ids"]["requests"] == ["req_7"]
    assert (call["costs"]["telephony"], call["costs"]["total"]) == (None, None)
    text = http.get(f"/calls/{call_id}/transcript", params={"format": "text"}).text
    assert text.splitlines() == [
        "[0:02] operator: Please hold.",
        "[0:04] caller: When?",
        "[0:05] failure: openai cannot think: provider_timeout (no first token in time, request req_7); not given up",
        "[0:06] agent, filler: One moment.",
        "[0:08] not answered: the caller waited 3.5 s",
    ]


def test_a_call_that_an_older_version_ended_does_not_claim_that_every_turn_was_answered(
    service: RunningService, http: httpx.Client
) -> None:
    call_id = keep_call(service.settings.data_dir, "call_old", ENDED, summary=json.dumps({"turns": 2}))

    [listed] = [call for call in http.get("/calls").json()["calls"] if call["call_id"] == call_id]
    assert (listed["unanswered"], listed["abandoned"]) == (None, None)
