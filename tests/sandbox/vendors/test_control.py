from collections import deque
from typing import Any

import httpx
import pytest

from sandbox.running import running_sandbox
from sandbox.vendors.faults import Fault
from sandbox.vendors.stage import Limits, Stage, Utterance, leading_call_id


async def test_scripts_and_faults_are_set_over_http_and_timings_read() -> None:
    async with running_sandbox() as sandbox, httpx.AsyncClient(base_url=f"{sandbox.url}/control") as control:
        one = {"text": "Алло", "duration": 0.5, "language": "ru"}
        assert (await control.post("/calls/c1/utterances", json=one)).json() == {"waiting": 1}
        assert (await control.post("/calls/c1/utterances", json=[one, {"text": ""}])).json() == {"waiting": 3}
        reply = {"text": "Да.", "tool_calls": [{"name": "book", "arguments": {"time": "10:00"}}]}
        assert (await control.post("/calls/c1/replies", json=[reply])).status_code == 201
        assert sandbox.stage.script("c1") == deque([Utterance("Алло", 0.5, "ru")] * 2 + [Utterance("")])
        sandbox.stage.note("openai", "request", "c1", chars=3)
        sandbox.stage.keep_request("openai", "responses", "c1", {"model": "m"})
        seen = (await control.get("/calls/c1")).json()
        assert [(timing["vendor"], timing["event"], timing["chars"]) for timing in seen["timings"]] == [
            ("openai", "request", 3)
        ]
        assert (seen["utterances_left"], seen["replies_left"], seen["requests"][0]["body"]) == (3, 1, {"model": "m"})
        assert (await control.get("/requests")).json() == {"openai": {"responses": 1}}
        assert (
            await control.post("/faults", json={"vendor": "openai", "kind": "cut", "times": None})
        ).status_code == 201
        assert sandbox.stage.faults.listed() == [Fault("openai", "cut", times=None)]
        assert (await control.delete("/faults")).status_code == 204
        assert sandbox.stage.faults.listed() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"vendor": "openai"}),
        ("/faults", {"vendor": "aws", "kind": "cut"}),
        ("/faults", {"vendor": "openai", "kind": "cut", "oops": 1}),
        ("/faults", {"vendor": "openai", "kind": "cut", "after": -1}),
        ("/faults", {"vendor": "openai", "kind": "cut", "after_seconds": "2"}),
        ("/calls/c1/utterances", {"words": "Алло"}),
        ("/calls/c1/utterances", ["Алло"]),
        ("/calls/c1/replies", {"tool_calls": [{"arguments": {}}]}),
        ("/calls/c1/replies", {"tool_calls": "book"}),
    ],
)
async def test_what_makes_no_sense_is_refused_and_says_why(path: str, body: Any) -> None:
    async with running_sandbox() as sandbox, httpx.AsyncClient(base_url=f"{sandbox.url}/control") as control:
        refused = await control.post(path, json=body)
        assert refused.status_code == 422
        assert refused.json()["error"]
        assert (await control.post(path, content=b"{")).status_code == 422


async def test_faults_are_spent_in_the_order_they_were_set() -> None:
    book = Stage(profile="instant").faults
    book.add(Fault("openai", "cut", after=1, times=2))
    book.add(Fault("openai", "stall", times=None))
    kinds = []
    for _ in range(5):
        fault = book.take("openai", "responses", None).fault
        kinds.append(fault.kind if fault else None)
    assert kinds == ["stall", "cut", "cut", "stall", "stall"]
    assert book.take("deepgram", "v2/listen", None).fault is None


async def test_only_the_last_calls_are_remembered() -> None:
    shared = Stage(profile="instant", limits=Limits(kept_calls=3))
    for number in range(5):
        shared.call(f"c{number}").expect(Utterance("Алло"))
        shared.call("c0")
    assert [shared.script(f"c{number}") is not None for number in range(5)] == [True, False, False, True, True]


def test_the_call_of_a_context_is_what_its_id_begins_with() -> None:
    assert leading_call_id("call_7-a:12-ff") == "call_7-a"
    assert leading_call_id("") == ""
