"""The dashboard in a real browser: Chromium draws the page, and what it has drawn is read."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.service import RunningService, service_in_thread
from tests.routers.kept_calls import keep_call

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script><b>bold</b> \' " &amp; {{7*7}}'
ROWS = [
    ("call.created", {"language": "ru"}),
    ("call.answered", {}),
    ("turn.taken", {"turn": 1, "text": HOSTILE, "source": "words", "started_t": 1.0, "ended_t": 2.0}),
    ("call.ended", {"reason": "caller_hangup"}),
]

CUT_SHORT = [
    ("call.created", {"language": "en"}),
    ("call.answered", {}),
    ("agent.reply_started", {"speech": 1, "kind": "greeting", "stamps": {"first_frame": 1.0}}),
    ("agent.interrupted", {"speech": 1, "heard": "We are open", "generated": "We are open until nine.", "exact": True}),
    ("call.ended", {"reason": "caller_hangup"}),
]


ANALYSIS = {
    "status": "done",
    "summary": "The caller booked a visit.",
    "fields": {"visit_day": {"value": "2026-12-04", "quote": "on Friday", "turn": 3, "verified_by": "caller"}},
    "success": True,
    "reason": None,
    "model": "gpt-6-luna",
    "cost": 0.0004,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("browser"), api_key=None) as running:
        data = running.settings.data_dir
        told = {
            "caller_number": HOSTILE,
            "livekit_room": HOSTILE,
            "metadata": '{"a": "<script>document.title=3</script>"}',
        }
        keep_call(data, "call_hostile", ROWS, end_reason="caller_hangup", **told)
        keep_call(data, "call_cut", CUT_SHORT, end_reason="caller_hangup", analysis=json.dumps(ANALYSIS))
        yield running


def drawn(url: str, folder: Path) -> str:
    """The page as it stands when its scripts have run."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "Chromium is missing: on Debian and Ubuntu, apt install chromium"
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", f"--user-data-dir={folder}")
    outcome = subprocess.run([chromium, *options, "--dump-dom", url], capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_a_newcomer_sees_what_to_do_first(tmp_path: Path) -> None:
    with service_in_thread(tmp_path / "data", api_key=None) as new:
        page = drawn(f"{new.url}/", tmp_path / "profile")

    assert 'href="#/talk">Talk to the agent</a>' in page
    assert "make demo" in page


@pytest.mark.parametrize("view", ["#/calls", "#/calls/call_hostile"])
def test_what_a_stranger_says_is_shown_as_text_and_never_run(
    service: RunningService, tmp_path: Path, view: str
) -> None:
    page = drawn(f"{service.url}/{view}", tmp_path)

    assert HOSTILE in html.unescape(re.sub(r"<[^>]+>", "", page))
    assert re.search(r"<title>Calls? · Voice agent</title>", page)
    assert not re.search(r"<b>|<img src=\"?x|document\.title=\d</script>", page)


def test_a_call_that_is_not_there_is_reported(service: RunningService, tmp_path: Path) -> None:
    assert "there is no such call" in drawn(f"{service.url}/#/calls/none", tmp_path)


def test_without_the_key_the_page_asks_for_it(tmp_path: Path) -> None:
    with service_in_thread(tmp_path / "data") as locked:
        page = drawn(f"{locked.url}/", tmp_path / "profile")

    assert 'type="password"' in page
    assert "Now</h1>" not in page


def test_without_an_api_key_there_is_nothing_to_log_out_of(service: RunningService, tmp_path: Path) -> None:
    (button,) = re.findall(r'<button id="log-out"[^>]*>', drawn(f"{service.url}/#/", tmp_path))

    assert "hidden" in button


def test_what_the_caller_did_not_hear_is_marked_with_words(service: RunningService, tmp_path: Path) -> None:
    page = drawn(f"{service.url}/#/calls/call_cut", tmp_path)

    assert re.search(r'<span class="unheard"><span class="tag">not heard:</span> until nine\.</span>', page)


def test_the_outcome_is_shown_with_the_words_that_it_comes_from(service: RunningService, tmp_path: Path) -> None:
    page = drawn(f"{service.url}/#/calls/call_cut", tmp_path)

    assert '<p class="lead came" dir="auto">The caller booked a visit.</p>' in page
    assert "<dt>visit day</dt>" in page
    assert "“on Friday” (turn 3)" in page
    assert "confirmed by the caller" in page


def test_the_page_shows_the_agents_and_the_files_that_were_refused(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "clinic.yaml").write_text("prompt: Clinic.\nnumbers: ['+74951234567']\n")
    with service_in_thread(tmp_path / "data", api_key=None, agents_dir=folder) as running:
        (folder / "clinic.yaml").write_text("prompt: '{{ nobody }}'\n")
        running.run(running.services.agents.reload())
        page = drawn(f"{running.url}/#/agents", tmp_path / "profile")

    assert "+74951234567" in page
    assert "standard (default)" in page
    assert "prompt: nobody is not known here" in page


def test_the_page_says_that_a_service_without_vendors_does_not_recognise_words(
    service: RunningService, tmp_path: Path
) -> None:
    with service_in_thread(tmp_path / "data", api_key=None, providers="sandbox") as pretending:
        told = drawn(f"{pretending.url}/#/talk", tmp_path / "profile")

    assert "type your words below" in told
    assert "type your words below" not in drawn(f"{service.url}/#/talk", tmp_path / "other")


def test_the_interface_is_described_without_any_other_server(service: RunningService, tmp_path: Path) -> None:
    page = drawn(f"{service.url}/docs", tmp_path)

    assert "operations-calls-list_calls" in page
    assert "operations-calls-get_stats" in page
