"""What an operator may ask, and of which calls, to have the caller handed over."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.end_to_end.service import RunningService, service_in_thread
from tests.routers.kept_calls import execute, keep_call
from tests.routers.test_calls import assert_problem

TARGETS = {"sales": "+74950000001", "help": "sip:help@example.org"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("handed-over"), transfer_targets=TARGETS) as running:
        data = running.settings.data_dir
        keep_call(data, "call_phone", kind="room", status="active")
        keep_call(data, "call_over", kind="room", status="ended")
        keep_call(data, "call_web", status="active")
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.mark.parametrize("to", ["sales", " sip:help@example.org "])
def test_a_transfer_of_a_telephone_call_is_kept_for_its_owner(
    service: RunningService, http: httpx.Client, to: str
) -> None:
    answer = http.post("/calls/call_phone/transfer", json={"to": to})

    assert (answer.status_code, answer.json()["call_id"]) == (202, "call_phone")
    rows = execute(service.settings.data_dir, "SELECT call_id, kind, data FROM call_requests ORDER BY request_id")
    assert [*rows[-1][:2], json.loads(rows[-1][2])] == ["call_phone", "transfer", {"to": to.strip()}]


@pytest.mark.parametrize("to", ["president", "+79990000000", "sip:help@elsewhere.example"])
@pytest.mark.parametrize("call_id", ["call_phone", "call_web"])
def test_nobody_is_handed_over_to_a_stranger(http: httpx.Client, call_id: str, to: str) -> None:
    document = assert_problem(http.post(f"/calls/{call_id}/transfer", json={"to": to}), 403, "transfer_not_allowed")
    assert to not in document["detail"]


@pytest.mark.parametrize(
    ("call_id", "status", "code"),
    [("call_web", 409, "not_a_telephone"), ("call_over", 409, "call_ended"), ("call_none", 404, "call_not_found")],
)
def test_only_telephone_calls_are_handed_over_and_only_while_they_live(
    http: httpx.Client, call_id: str, status: int, code: str
) -> None:
    assert_problem(http.post(f"/calls/{call_id}/transfer", json={"to": "sales"}), status, code)


@pytest.mark.parametrize("to", ["", " ", "x" * 201, None, 7])
def test_somebody_has_to_be_named(http: httpx.Client, to: object) -> None:
    assert_problem(http.post("/calls/call_phone/transfer", json={"to": to}), 422, "invalid_request")
