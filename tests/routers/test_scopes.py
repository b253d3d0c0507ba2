"""Named keys at the door: what each may do, and what the audit says of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from app.clock import utc_now
from app.storage.api_keys import SCOPES, Scope
from routers.attempts import FailedAttempts
from routers.dependencies import require_key
from routers.scopes import needed_scope
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread
from tests.routers.test_calls import assert_problem

OPEN = {"/webhooks/livekit", "/health", "/health/live", "/health/ready", "/metrics", "/", "/session", "/docs"}
"""Routes that ask for no key of an operator, or not for theirs alone."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("keys")) as running:
        yield running


def make_key(service: RunningService, name: str, *scopes: Scope) -> str:
    return service.run(service.services.operators.keys.add(name, scopes, utc_now()))


def revoke(service: RunningService, name: str) -> bool:
    return service.run(service.services.operators.keys.revoke(name))


@pytest.fixture(scope="module")
def keys(service: RunningService) -> dict[Scope, str]:
    """A key for each scope, which has no other."""
    return {scope: make_key(service, f"only-{scope}", scope) for scope in SCOPES}


def routes(service: RunningService) -> list[tuple[str, str]]:
    """Method and path of all that ask for the key of an operator."""
    return [
        (method, route.path)
        for route in _all(service)
        if _asks_for_a_key(route)
        for method in sorted(route.methods or ())
    ]


def _all(service: RunningService) -> list[APIRoute]:
    found = [context.route for context in iter_route_contexts(service.app.routes)]
    return [route for route in found if isinstance(route, APIRoute)]


def _asks_for_a_key(route: APIRoute) -> bool:
    return any(part.call is require_key for part in route.dependant.dependencies)


def test_every_route_asks_for_a_key_or_is_known_not_to(service: RunningService) -> None:
    closed = {path for _, path in routes(service)}
    assert {route.path for route in _all(service)} - closed == OPEN


def test_a_key_opens_the_doors_of_its_scope_and_no_other(service: RunningService, keys: dict[Scope, str]) -> None:
    for method, path in routes(service):
        there = path.replace("{", "").replace("}", "")
        for scope, key in keys.items():
            if scope == needed_scope(method, path):
                continue
            with service.client(api_key=key) as http:
                answer = http.request(method, there)
            assert_problem(answer, 403, "key_not_allowed")
            assert f"only-{scope}" in answer.json()["detail"]
            assert key not in answer.text


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("read", "GET", "/calls", 200),
        ("read", "GET", "/health", 200),
        ("call", "POST", "/media/sessions", 201),
        ("operate", "POST", "/calls/call_1/hangup", 404),
        ("operate", "GET", "/audit", 200),
        ("erase", "DELETE", "/calls/call_1", 404),
    ],
)
def test_what_each_scope_is_for(
    service: RunningService, keys: dict[Scope, str], scope: Scope, method: str, path: str, status: int
) -> None:
    with service.client(api_key=keys[scope]) as http:
        assert http.request(method, path).status_code == status


def test_a_key_works_from_its_making_to_its_end_without_a_restart(service: RunningService) -> None:
    service.app.state.failed_attempts = FailedAttempts()
    key = make_key(service, "passing", "read")
    with service.client(api_key=key) as http:
        assert http.get("/calls").status_code == 200
        assert revoke(service, "passing")
        assert_problem(http.get("/calls"), 401, "unauthorized")


def test_a_cookie_may_do_what_its_key_may_and_ends_with_it(service: RunningService) -> None:
    service.app.state.failed_attempts = FailedAttempts()
    key = make_key(service, "browser", "read")
    with service.client(api_key=None) as http:
        assert http.post("/session", json={"api_key": key}).status_code == 204
        assert key not in str(http.cookies)
        assert http.get("/calls").status_code == 200
        assert_problem(http.post("/media/sessions"), 403, "key_not_allowed")
        revoke(service, "browser")
        make_key(service, "browser", "read", "call")
        assert_problem(http.get("/calls"), 401, "unauthorized")


def audit(http: httpx.Client, **wanted: Any) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = http.get("/audit", params=wanted).json()["entries"]
    return entries


def test_the_audit_has_every_request_that_changes_something_with_its_key_and_its_answer(
    service: RunningService,
) -> None:
    key = make_key(service, "audited", *get_args(Scope))
    with service.client(api_key=key) as http, service.client() as operator:
        call_id = http.post("/media/sessions").json()["call_id"]
        http.get("/calls")
        http.post("/calls/call_9/hangup")
        http.post("/calls/call_9/say", json={"text": ""})
        http.put("/do-not-call/+79990001122")
        operator.delete("/calls/call_9")
        entries, about_call = audit(operator, key="audited"), audit(operator, call_id="call_9")
        page = operator.get("/audit", params={"limit": 1}).json()
        older = operator.get("/audit", params={"limit": 1, "cursor": page["next_cursor"]}).json()

    assert [(entry["action"], entry["call_id"], entry["status"]) for entry in reversed(entries)] == [
        ("POST /media/sessions", call_id, 201),
        ("POST /calls/{call_id}/hangup", "call_9", 404),
        ("POST /calls/{call_id}/say", "call_9", 422),
        ("PUT /do-not-call/{number}", None, 200),
    ]
    assert [(entry["key"], entry["status"]) for entry in about_call] == [
        ("operator", 404),
        ("audited", 422),
        ("audited", 404),
    ]
    assert older["entries"][0]["audit_id"] < page["entries"][0]["audit_id"]
    everything = str(entries) + str(about_call)
    assert "9990001122" not in everything
    assert key not in everything
    assert API_KEY not in everything


def test_a_paused_service_says_so_and_takes_calls_again(service: RunningService) -> None:
    with service.client() as http:
        paused = http.post("/service/pause")
        ready, refused = http.get("/health/ready"), http.post("/media/sessions")
        orders = http.get("/health").json()["orders"]
        metrics = http.get("/metrics").text
        resumed = http.post("/service/resume")
        answers = http.get("/health/ready"), http.post("/media/sessions")

    assert paused.status_code == 202
    assert paused.json() == orders
    assert (orders["ordered_by"], orders["draining_since"]) == ("operator", None)
    assert (ready.status_code, ready.json()["status"]) == (503, "paused")
    assert_problem(refused, 503, "paused")
    assert refused.headers["retry-after"]
    assert 'voice_service_order{order="pause"} 1.0' in metrics
    assert resumed.json()["paused_since"] is None
    assert [answer.status_code for answer in answers] == [200, 201]


def test_the_folder_of_a_service_keeps_its_orders(tmp_path: Path) -> None:
    with service_in_thread(tmp_path) as first, first.client() as http:
        http.post("/service/drain")
        assert http.get("/health").json()["orders"]["draining_since"] is not None
    with service_in_thread(tmp_path) as second, second.client() as http:
        assert_problem(http.post("/media/sessions"), 503, "paused")
        assert http.post("/service/resume").status_code == 202
        assert http.post("/media/sessions").status_code == 201
