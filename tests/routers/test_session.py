"""Logging in with a cookie, and what becomes of those who guess."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from itsdangerous import TimestampSigner
from pydantic import SecretStr

from routers import session_cookie
from routers.attempts import FailedAttempts
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread
from tests.routers.kept_calls import keep_call
from tests.routers.test_calls import assert_problem

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("session")) as running:
        yield running


@pytest.fixture
def browser(service: RunningService) -> Iterator[httpx.Client]:
    """Knows no key, keeps cookies; its address was never wrong."""
    service.app.state.failed_attempts = FailedAttempts()
    with service.client(api_key=None) as http:
        yield http


def log_in(browser: httpx.Client, key: str = API_KEY, **headers: str) -> httpx.Response:
    return browser.post("/session", json={"api_key": key}, headers=headers)


def test_the_key_is_exchanged_for_a_cookie_that_opens_the_doors(browser: httpx.Client) -> None:
    assert_problem(browser.get("/calls"), 401, "unauthorized")
    answer = log_in(browser)

    assert (answer.status_code, answer.content) == (204, b"")
    cookie = answer.headers["set-cookie"].lower()
    assert {part.strip() for part in cookie.split(";")[1:]} == {
        "httponly",
        "samesite=strict",
        "path=/",
        "max-age=43200",
    }
    assert API_KEY not in cookie
    assert browser.get("/calls").status_code == 200
    assert browser.post("/media/sessions").status_code == 201


def test_over_https_the_cookie_is_for_https_alone(browser: httpx.Client) -> None:
    answer = log_in(browser, **{"X-Forwarded-Proto": "https"})

    assert "; secure" in answer.headers["set-cookie"].lower()


def test_logging_out_ends_access(browser: httpx.Client) -> None:
    log_in(browser)
    assert browser.delete("/session").status_code == 204

    assert not browser.cookies
    assert_problem(browser.get("/calls"), 401, "unauthorized")


def test_a_wrong_key_gets_no_cookie(browser: httpx.Client) -> None:
    for key in ("", API_KEY + "x", API_KEY[:-1], "ключ", "\ud800"):
        answer = browser.post("/session", content=json.dumps({"api_key": key}), headers=JSON)
        assert_problem(answer, 401, "unauthorized")
        assert "set-cookie" not in answer.headers
    assert_problem(browser.post("/session", json={"key": API_KEY}), 422, "invalid_request")
    assert API_KEY not in browser.post("/session", json={"api_key": [API_KEY]}).text


def test_a_cookie_that_was_not_given_out_here_opens_nothing(browser: httpx.Client) -> None:
    good = session_cookie.signer(SecretStr(API_KEY)).sign("operator").decode()
    of_another_key = session_cookie.signer(SecretStr("another")).sign("operator").decode()
    of_another_use = session_cookie.signer(SecretStr(API_KEY)).sign("something").decode()
    for forged in (good[:-1], good + "A", "operator", "..", of_another_key, of_another_use):
        answer = browser.get("/calls", headers={"Cookie": f"{session_cookie.NAME}={forged}"})
        assert_problem(answer, 401, "unauthorized")
    assert browser.get("/calls", headers={"Cookie": f"{session_cookie.NAME}={good}"}).status_code == 200


def test_a_cookie_is_good_for_twelve_hours(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(browser)
    now = TimestampSigner.get_timestamp
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now(self) + 12 * 3600 - 5)
    assert browser.get("/calls").status_code == 200
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now(self) + 12 * 3600 + 5)
    assert_problem(browser.get("/calls"), 401, "unauthorized")


def test_a_page_of_another_site_changes_nothing(service: RunningService, browser: httpx.Client) -> None:
    for origin in ("https://evil.example", "null", "http://[", service.url.replace("127.0.0.1", "127.0.0.2")):
        assert_problem(log_in(browser, Origin=origin), 403, "forbidden")
    log_in(browser, Origin=service.url)
    keep_call(service.settings.data_dir, "call_origin")

    assert_problem(browser.delete("/calls/call_origin", headers={"Origin": "https://evil.example"}), 403, "forbidden")
    assert browser.get("/calls/call_origin", headers={"Origin": "https://evil.example"}).status_code == 200
    assert browser.delete("/calls/call_origin", headers={"Origin": service.url}).status_code == 204


def test_the_key_in_a_header_is_enough_wherever_the_page_is_from(service: RunningService) -> None:
    with service.client() as http:
        assert http.post("/media/sessions", headers={"Origin": "https://partner.example"}).status_code == 201


def test_too_many_wrong_keys_must_wait_and_a_right_key_never(service: RunningService, browser: httpx.Client) -> None:
    guesses = [browser.get("/calls", headers={"Authorization": f"Bearer {number}"}) for number in range(8)]
    guesses += [log_in(browser, "wrong"), browser.get("/calls", headers={"Cookie": f"{session_cookie.NAME}=x"})]
    assert [guess.status_code for guess in guesses] == [401] * 10

    for late in (browser.get("/calls", headers={"Authorization": "Bearer x"}), log_in(browser, "wrong")):
        assert_problem(late, 429, "too_many_requests")
        assert 0 < int(late.headers["retry-after"]) <= 60
    assert_problem(browser.get("/calls"), 401, "unauthorized")
    with service.client() as http:
        assert http.get("/calls").status_code == 200
        figures = http.get("/metrics").text
    assert 'voice_security_rejects_total{reason="too_many_keys",surface="api"} 2.0' in figures
    assert log_in(browser).status_code == 204
    assert browser.get("/calls").status_code == 200


def test_another_key_ends_the_sessions(browser: httpx.Client, tmp_path: Path) -> None:
    log_in(browser)
    value = browser.cookies[session_cookie.NAME]
    with service_in_thread(tmp_path, api_key="a-new-key") as renewed, renewed.client(api_key=None) as http:
        answer = http.get("/calls", headers={"Cookie": f"{session_cookie.NAME}={value}"})

    assert_problem(answer, 401, "unauthorized")


def test_where_there_is_no_key_there_is_no_cookie(tmp_path: Path) -> None:
    with service_in_thread(tmp_path, api_key=None) as service, service.client(api_key=None) as http:
        answer = log_in(http, "whatever")

        assert answer.status_code == 204
        assert "set-cookie" not in answer.headers


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("open"), api_key=None) as running:
        yield running


@pytest.mark.parametrize("name", ["evil.example", "evil.example:8000", "evil.", "127.0.0.1.evil.example", "[::1"])
def test_where_there_is_no_key_a_name_of_the_internet_opens_nothing(open_service: RunningService, name: str) -> None:
    with open_service.client(api_key=None) as http:
        for method, path in (("GET", "/calls"), ("POST", "/media/sessions"), ("DELETE", "/calls/call_1")):
            assert_problem(http.request(method, path, headers={"Host": name}), 403, "forbidden")
        assert http.get("/health/live", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize(
    "name", ["localhost", "localhost:80", "127.0.0.1:1", "[::1]:8000", "a.localhost", "agent:8000"]
)
def test_where_there_is_no_key_the_names_of_this_machine_do(open_service: RunningService, name: str) -> None:
    with open_service.client(api_key=None) as http:
        assert http.get("/calls", headers={"Host": name}).status_code == 200


def test_where_there_is_no_key_a_page_of_another_site_changes_nothing_either(open_service: RunningService) -> None:
    with open_service.client(api_key=None) as http:
        for origin in ("https://evil.example", "null", "http://localhost:3000"):
            assert_problem(http.post("/media/sessions", headers={"Origin": origin}), 403, "forbidden")
        assert http.post("/media/sessions", headers={"Origin": open_service.url}).status_code == 201
