"""Keys, limits and manners that every door has in common."""

import hmac
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from routers.attempts import FailedAttempts
from routers.body_limit import MAX_BODY_BYTES
from tests.end_to_end.service import API_KEY, RunningService, running_service, service_in_thread
from tests.routers.test_calls import assert_problem
from tests.routers.test_connections import connected

CLOSED_DOORS = [
    ("GET", "/calls"),
    ("POST", "/calls"),
    ("GET", "/calls/call_1"),
    ("GET", "/calls/call_1/events"),
    ("GET", "/calls/call_1/transcript"),
    ("GET", "/calls/call_1/recording"),
    ("DELETE", "/calls/call_1"),
    ("POST", "/calls/call_1/hangup"),
    ("POST", "/calls/call_1/say"),
    ("POST", "/calls/call_1/transfer"),
    ("POST", "/media/sessions"),
]
WRONG_KEYS = [
    None,
    "",
    "Bearer",
    f"Bearer {API_KEY}x",
    f"Bearer {API_KEY[:-1]}",
    f"Basic {API_KEY}",
    API_KEY,
    b"Bearer \xd0\xba\xd0\xbb\xd1\x8e\xd1\x87",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("doors"), metrics_token="of-metrics") as running:
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.mark.parametrize(("method", "path"), CLOSED_DOORS)
def test_without_the_right_key_a_door_stays_closed(service: RunningService, method: str, path: str) -> None:
    service.app.state.failed_attempts = FailedAttempts(budget=len(WRONG_KEYS))
    with service.client(api_key=None) as http:
        for key in WRONG_KEYS:
            headers = [] if key is None else [(b"Authorization", key if isinstance(key, bytes) else key.encode())]
            answer = http.request(method, path, headers=headers)
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_right_key_opens_whatever_the_case_of_the_scheme(service: RunningService, scheme: str) -> None:
    with service.client(api_key=None) as http:
        assert http.get("/calls", headers={"Authorization": f"{scheme} {API_KEY}"}).status_code == 200


def test_the_key_is_compared_in_constant_time(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert http.get("/calls").status_code == 200
    assert compared == [(API_KEY.encode(), API_KEY.encode())]


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_needs_no_key(service: RunningService, path: str) -> None:
    with service.client(api_key=None) as http:
        assert http.get(path).status_code == 200


def test_metrics_have_a_token_of_their_own(service: RunningService) -> None:
    with service.client(api_key=None) as http:
        assert_problem(http.get("/metrics"), 401, "unauthorized")
        assert_problem(http.get("/metrics", headers={"Authorization": f"Bearer {API_KEY}"}), 401, "unauthorized")
        assert http.get("/metrics", headers={"Authorization": "Bearer of-metrics"}).status_code == 200


def test_a_session_is_given_without_a_body(http: httpx.Client) -> None:
    answer = http.post("/media/sessions")
    assert answer.status_code == 201
    assert set(answer.json()) >= {"call_id", "url", "expires_at"}
    assert http.post("/media/sessions", json=None).status_code == 201


@pytest.mark.parametrize(
    "body", [b"{", b"nothing", b'{"caller": "+7",}', b"\xff\xfe", b"[" * 10_000, b'{"caller": 1e5000']
)
def test_a_body_that_is_not_json_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/media/sessions", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_a_body_without_a_json_content_type_gets_advice(http: httpx.Client, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    for path in ("/media/sessions", "/calls", "/calls/call_1/say", "/session"):
        answer = http.post(path, content=b'{"text": "a", "to": "+79990000001", "api_key": "k"}', headers=headers)
        assert_problem(answer, 415, "unsupported_media_type")
        assert "application/json" in answer.json()["detail"]


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _level in range(depth - 1):
        value = {"a": value}
    return value


def listed(depth: int) -> dict[str, Any]:
    value: list[Any] = []
    for _level in range(depth - 2):
        value = [value]
    return {"a": value}


def sized(total_bytes: int) -> dict[str, str]:
    """Metadata that is so large as JSON."""
    return {"a": "ы" * ((total_bytes - len('{"a": ""}')) // 2) + "x" * ((total_bytes - 1) % 2)}


@pytest.mark.parametrize(
    "wanted",
    [
        {"caller": "+" + "7" * 63, "metadata": {}},
        {"caller": None, "metadata": {"language_hint": "ru"}},
        {"metadata": nested(8)},
        {"metadata": listed(8)},
        {"metadata": sized(16 * 1024)},
        {"unknown": "keys are ignored"},
    ],
    ids=lambda wanted: str(wanted)[:30],
)
def test_what_fits_is_taken(http: httpx.Client, wanted: dict[str, Any]) -> None:
    assert http.post("/media/sessions", json=wanted).status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        f'{{"caller": "+{"7" * 64}"}}',
        '{"caller": 79990000000}',
        '{"caller": "\\ud800"}',
        '{"metadata": []}',
        '{"metadata": "text"}',
        '{"metadata": null}',
        '{"metadata": {"a": NaN}}',
        '{"metadata": {"a": 1e999}}',
        '{"metadata": {"a": "\\ud800"}}',
        '{"metadata": {"a": "' + "x" * 16 * 1024 + '"}}',
        '{"metadata": ' + '{"a":' * 9 + "1" + "}" * 10,
        '{"metadata": {"a": ' + "[" * 8 + "1" + "]" * 8 + "}}",
        "[]",
        '"text"',
        "7",
    ],
    ids=lambda wrong: wrong[:30],
)
def test_what_does_not_fit_is_refused_and_not_repeated(http: httpx.Client, wrong: str) -> None:
    answer = http.post("/media/sessions", content=wrong, headers={"Content-Type": "application/json"})
    document = assert_problem(answer, 422, "invalid_request")
    assert document["errors"]
    assert "7777777" not in answer.text
    assert "xxxxxxx" not in answer.text


def padded(size: int) -> bytes:
    return b'{"caller": "+7"}'.ljust(size)


def test_a_body_of_64_kilobytes_is_taken_and_a_larger_one_is_not(http: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    assert http.post("/media/sessions", content=padded(MAX_BODY_BYTES), headers=headers).status_code == 201
    assert_problem(
        http.post("/media/sessions", content=padded(MAX_BODY_BYTES + 1), headers=headers), 413, "body_too_large"
    )


def test_a_large_body_without_a_content_length_is_refused(http: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        yield from [padded(16 * 1024)] * 20

    answer = http.post("/media/sessions", content=pieces(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "body_too_large")


def test_a_large_body_is_refused_without_a_key_too(service: RunningService) -> None:
    with service.client(api_key=None) as http:
        answer = http.post("/media/sessions", content=padded(10 << 20), headers={"Content-Type": "application/json"})
    assert answer.status_code in (401, 413)


@pytest.mark.parametrize("length", [70_000, 9 * 10**18])
@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/nothing"])
def test_a_large_body_is_refused_before_any_answer_begins(service: RunningService, path: str, length: int) -> None:
    with connected(service) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_length_that_is_only_claimed_is_in_no_figure(service: RunningService) -> None:
    with connected(service) as client, service.client() as http:
        client.sendall(b"POST /session HTTP/1.1\r\nHost: here\r\nContent-Length: 9000000000000000000\r\n\r\n")
        client.recv(65536)
        http.post("/session", json={"api_key": "wrong"})
        figures = http.get("/metrics", headers={"Authorization": "Bearer of-metrics"}).text
    sizes = re.findall(r"^http_request_size_bytes_sum.* (.+)$", figures, re.MULTILINE)
    assert sizes
    assert sum(map(float, sizes)) < 1e9


def test_no_response_names_the_server(http: httpx.Client) -> None:
    assert "server" not in http.get("/health").headers


@pytest.mark.parametrize("path", ["/calls", "/calls/none", "/nothing", "/health"])
def test_no_answer_lets_a_browser_guess_its_type(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_production_has_no_documentation_of_its_doors(tmp_path: Path) -> None:
    with ExitStack() as stack:
        production = stack.enter_context(service_in_thread(tmp_path / "p", environment="production"))
        development = stack.enter_context(service_in_thread(tmp_path / "d", environment="development"))
        for path in ("/docs", "/openapi.json", "/redoc"):
            with production.client() as http:
                assert_problem(http.get(path), 404, "not_found")
        with development.client(api_key=None) as http:
            page = http.get("/docs")
            assert page.status_code == 200
            assert "script-src 'self';" in page.headers["content-security-policy"]
            assert not re.search(r"(?:src|href)=\"(?!/static/)", page.text)
            assert {"/calls", "/media/sessions", "/health"} <= set(http.get("/openapi.json").json()["paths"])


async def test_without_a_key_development_lets_everybody_of_this_machine_in(tmp_path: Path) -> None:
    async with running_service(tmp_path, api_key=None) as service, service.async_client(api_key=None) as http:
        assert (await http.get("/calls")).status_code == 200
        assert (await http.get("/metrics")).status_code == 200


async def test_the_media_address_is_that_of_the_domain_or_of_the_request(tmp_path: Path) -> None:
    async with running_service(tmp_path, domain="voice.example") as service, service.async_client() as http:
        assert (await http.post("/media/sessions")).json()["url"].startswith("wss://voice.example/media/call_")
    async with running_service(tmp_path) as service, service.async_client() as http:
        assert (await http.post("/media/sessions")).json()["url"].startswith(f"{service.media_url}/call_")


async def test_a_bug_is_a_problem_document_without_its_message(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.async_client() as http:

        @service.app.get("/bug")
        async def bug() -> None:
            raise ValueError("the caller's secret")

        answer = await http.get("/bug")
        assert_problem(answer, 500, "internal")
        assert "secret" not in answer.text
