"""The page's files: what they may do is said by its policy, and what they say is what the service says."""

import re
from collections.abc import Iterator

import httpx
import pytest

from app.conversation.events import EVENT_TYPES
from app.conversation.states import TRANSITIONS
from app.journal.record import STAGES
from tests.end_to_end.service import RunningService, service_in_thread
from tests.support.sources import ROOT, text

STATIC = ROOT / "routers" / "static"
SCRIPTS = sorted(path.relative_to(ROOT).as_posix() for path in STATIC.glob("*.js"))
ENDS = {
    *("caller_hangup", "agent_hangup", "silence", "max_duration", "transferred", "operator_hangup", "media_lost"),
    *("media_timeout", "rejected_capacity", "rejected_policy", "no_answer", "busy", "declined", "invalid_number"),
    *("carrier_error", "message_taken", "provider_failure", "spending_limit", "shutdown", "crashed", "internal_error"),
}
"""Why a call may have ended: the values of ``end_reason`` that clients rely on."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture
def browser(service: RunningService) -> Iterator[httpx.Client]:
    with service.client(api_key=None) as http:
        yield http


def policy_of(answer: httpx.Response) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


def test_the_page_needs_no_key_and_shows_nothing(browser: httpx.Client) -> None:
    answer = browser.get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_but_its_own_files_may_run_and_no_script_may_write_html(browser: httpx.Client) -> None:
    policy = policy_of(browser.get("/"))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")


def test_every_file_that_the_page_names_is_there(browser: httpx.Client) -> None:
    page = browser.get("/").text
    named = set(re.findall(r'(?:src|href)="(static/[^"]+)"', page))
    imported = {f"static/{name}" for path in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', text(path))}
    imported |= {name for path in SCRIPTS for name in re.findall(r'addModule\("([^"]+)"\)', text(path))}

    others = {"dashboard.html", "docs.html", "docs.js", "swagger-ui", "uplot"}
    own = {f"static/{path.name}" for path in STATIC.iterdir() if path.name not in others}
    assert named | imported == own | {"static/uplot/uPlot.esm.js", "static/uplot/uPlot.min.css"}
    for name in named | imported:
        answer = browser.get(f"/{name}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache"), name
        again = browser.get(f"/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("path", ["/static/", "/static/none.js", "/static/..%2fcalls.py", "/static/../dashboard.py"])
def test_no_other_file_is_given_out(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_script_or_style() -> None:
    for path in (path for path in STATIC.iterdir() if path.is_file()):
        lines = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?://|//cdn", lines), path.name
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=", text("routers/static/dashboard.html"))


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_script_puts_text_into_the_page_as_text(path: str) -> None:
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\b"

    assert not re.search(sinks + r"|new Function|setHTML|setAttribute\(\"on", text(path))


def test_every_end_of_a_call_has_plain_words() -> None:
    words = text("routers/static/words.js")
    found = re.search(r"END_REASONS = \{(.*?)\n\}", words, re.S)

    assert found
    assert set(re.findall(r"^  (\w+):", found[1], re.M)) == ENDS
    assert re.findall(r'\["(\w+)", "', words[words.index("STAGES") :]) == list(STAGES)
    assert {state.name for state in TRANSITIONS} - {"ENDED"} == set(re.findall(r"([A-Z]{4,}): \"", words))


def test_what_others_wrote_stands_with_its_licence_and_loads_nothing() -> None:
    for folder in (path for path in STATIC.iterdir() if path.is_dir()):
        assert (folder / "LICENSE.txt").stat().st_size > 500, folder.name
    uplot = text("routers/static/uplot/uPlot.esm.js")
    assert "uPlot (v1.6.32)" in uplot.replace("https://github.com/leeoniya/", "")
    assert "uPlot 1.6.32 (MIT" in text("routers/static/charts.js")
    assert not re.search(r"innerHTML|\bfetch\(|XMLHttpRequest|\beval\b|^import|new Function", uplot, re.M)


def test_the_page_follows_events_that_exist() -> None:
    named = set(re.findall(r'"([a-z]+\.[a-z_]+)"', text("routers/static/call_view.js")))

    assert named <= set(EVENT_TYPES)
    assert "call.ended" in named
