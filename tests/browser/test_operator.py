"""What an operator does from the page to telephone calls: places one, and transfers one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.browsing import browser
from tests.end_to_end.service import RunningService, service_in_thread
from tests.routers.kept_calls import execute, keep_call
from tests.routers.test_calls_placed import SETTINGS, TO

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Nobody is at LiveKit's address, so a call that is placed ends at once."""
    values = {**SETTINGS, "api_key": None, "retry_attempts": 1, "transfer_targets": {"sales": "+74950000001"}}
    with service_in_thread(tmp_path_factory.mktemp("operator"), **values) as running:
        keep_call(running.settings.data_dir, "call_phone", kind="room", status="active", direction="inbound")
        yield running


async def test_a_call_is_placed_and_its_outcome_shown(service: RunningService) -> None:
    async with browser() as chromium:
        page = await chromium.new_page()
        await page.goto(service.url)
        await page.get_by_role("button", name="Place a call…").click()
        dialog = page.get_by_role("dialog", name="Place a call")
        await dialog.get_by_label("Number to call").fill("+15551234567")
        await dialog.get_by_role("button", name="Call").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("DIAL_PREFIXES")
        await dialog.get_by_label("Number to call").fill(TO)
        await dialog.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text(TO)
        await expect(page.get_by_text("The carrier could not connect the call.").first).to_be_visible(timeout=20_000)


async def test_a_transfer_is_asked_for_once_more_before_it_is_requested(service: RunningService) -> None:
    data: Path = service.settings.data_dir
    async with browser() as chromium:
        page = await chromium.new_page()
        await page.goto(f"{service.url}/#/calls/call_phone")
        await page.get_by_label("Transfer to").select_option("sales")
        await page.get_by_role("button", name="Transfer…").click()
        await page.get_by_role("button", name="Cancel").click()
        assert execute(data, "SELECT kind FROM call_requests WHERE call_id = 'call_phone'") == []
        await page.get_by_role("button", name="Transfer…").click()
        await page.get_by_role("button", name="Transfer", exact=True).click()
        await expect(page.get_by_text("Transferring to sales.")).to_be_visible()
    (request,) = execute(data, "SELECT kind, data FROM call_requests WHERE call_id = 'call_phone'")
    assert (request[0], json.loads(request[1])) == ("transfer", {"to": "sales"})
