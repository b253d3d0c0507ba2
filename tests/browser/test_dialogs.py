"""The log-in and every dialog: axe finds nothing in either theme at any width, and Escape changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.browsing import browser, complaints_of
from tests.end_to_end.service import RunningService, service_in_thread
from tests.routers.kept_calls import execute, keep_call
from tests.routers.test_calls_placed import SETTINGS

pytestmark = pytest.mark.browser

AGENT = """\
prompt: You answer for a clinic. The doctor is {{ doctor }}.
language: en
greeting: {en: Good morning.}
variables: {doctor: {description: The doctor on duty}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("dialogs")
    (folder / "agents").mkdir()
    (folder / "agents" / "default.yaml").write_text(AGENT)
    values = {**SETTINGS, "api_key": None, "transfer_targets": {"sales": "+74950000001"}}
    with service_in_thread(folder / "data", agents_dir=folder / "agents", **values) as running:
        keep_call(running.settings.data_dir, "call_phone", kind="room", status="active", direction="inbound")
        keep_call(running.settings.data_dir, "call_over")
        yield running


async def test_axe_finds_nothing_in_the_log_in(tmp_path: Path) -> None:
    async with browser() as chromium:
        with service_in_thread(tmp_path) as locked:
            page = await chromium.new_page()
            await page.goto(locked.url)
            await page.get_by_label("API key").fill("wrong")
            await page.get_by_role("button", name="Log in").click()
            await expect(page.get_by_role("alert")).to_contain_text("Wrong key.")
            assert await complaints_of(page) == []


@pytest.mark.parametrize(
    ("view", "button", "name"),
    [
        ("#/", "Place a call…", "Place a call"),
        ("#/", "Simulated call…", "Simulated call"),
        ("#/calls/call_phone", "Hang up…", "Hang up?"),
        ("#/calls/call_phone", "Transfer…", "Transfer to sales?"),
        ("#/calls/call_over", "Erase this call…", "Erase this call?"),
    ],
)
async def test_axe_finds_nothing_in_a_dialog_and_escape_leaves_everything_as_it_is(
    service: RunningService, view: str, button: str, name: str
) -> None:
    async with browser() as chromium:
        page = await chromium.new_page()
        await page.goto(f"{service.url}/{view}")
        await page.get_by_role("button", name=button).click()
        dialog = page.get_by_role("dialog", name=name)
        await expect(dialog).to_be_visible()
        if view == "#/":
            await expect(dialog.get_by_label("The doctor on duty")).to_be_visible()
        assert await complaints_of(page) == []
        assert await fits(page)
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
    assert execute(service.settings.data_dir, "SELECT kind FROM call_requests") == []
    assert len(execute(service.settings.data_dir, "SELECT call_id FROM calls")) == 2


async def fits(page: Page) -> bool:
    """Whether the dialog is wholly on the smallest screen."""
    await page.set_viewport_size({"width": 320, "height": 568})
    box = await page.locator("dialog").bounding_box()
    return box is not None and box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= 320
