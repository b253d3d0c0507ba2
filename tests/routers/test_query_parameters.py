"""No route ignores a query parameter that it does not have."""

from collections.abc import Iterator

import httpx
import pytest

from tests.end_to_end.service import RunningService, service_in_thread
from tests.routers.test_calls import assert_problem
from tests.routers.test_media import new_session, opened, refusal_of


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("parameters")) as running:
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def routes(service: RunningService) -> list[tuple[str, str]]:
    """Method and path of every route of ours."""
    paths = service.app.openapi()["paths"]
    described = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return [*described, ("GET", "/")]


def test_every_route_names_the_parameter_that_it_does_not_have(service: RunningService, http: httpx.Client) -> None:
    assert len(routes(service)) >= 19
    for method, path in routes(service):
        answer = http.request(method, path.replace("{call_id}", "call_1"), params={"nonsense": "1"})
        problem = assert_problem(answer, 422, "invalid_request")
        assert "nonsense" in problem["detail"], path


@pytest.mark.parametrize(
    ("query", "named", "hint"),
    [
        ("staus=ended", "staus", "is status meant?"),
        ("status=ended&limit=5&directon=web", "directon", "is direction meant?"),
        ("Status=ended", "Status", "status"),
        ("caller=%2B7999", "caller", "the parameters are: limit, cursor"),
        ("status=", "status", ""),
        ("=x", ": there is no such parameter", ""),
        ("limit[]=5", "limit[]", "is limit meant?"),
        ("one=1&other=2", "other", ""),
        ("status=ended&status=ringing", "status: given more than once", ""),
        (f"{'x' * 5000}=1", "x" * 64, ""),
    ],
)
def test_a_misspelt_filter_is_named_beside_right_ones(http: httpx.Client, query: str, named: str, hint: str) -> None:
    problem = assert_problem(http.get(f"/calls?{query}"), 422, "invalid_request")
    assert named in problem["detail"]
    assert hint in problem["detail"]
    assert len(problem["detail"]) < 400


def test_a_parameter_of_one_route_is_unknown_to_another(http: httpx.Client) -> None:
    assert_problem(http.get("/calls/call_1/transcript?limit=3"), 422, "invalid_request")
    assert_problem(http.get("/calls/call_1?format=text"), 422, "invalid_request")


def test_a_stranger_is_refused_before_any_parameter_is_looked_at(service: RunningService) -> None:
    with service.client(api_key=None) as http:
        assert_problem(http.get("/calls?nonsense=1"), 401, "unauthorized")


async def test_a_socket_is_refused_for_an_unknown_parameter_and_its_token_stays_good(service: RunningService) -> None:
    session = await new_session(service)
    status, problem = await refusal_of(f"{session['url']}&nonsense=1")
    assert (status, problem["code"]) == (422, "invalid_request")
    assert "nonsense" in problem["detail"]
    egress = session["url"].replace("/media/", "/media/egress/")
    for address in (f"{egress}&nonsense=1", f"{session['url']}&token=x", f"{service.media_url}/twilio?nonsense=1"):
        assert (await refusal_of(address))[0] == 422
    async with opened(session["url"]):
        pass
