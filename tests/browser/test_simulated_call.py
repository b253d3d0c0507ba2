"""A simulated caller calls from the page, and the page goes to the call and listens in."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.browsing import PATIENCE, browser, until
from tests.end_to_end.test_simulated_calls import own_time_service

pytestmark = pytest.mark.browser


async def test_a_simulated_call_is_placed_from_the_page_and_heard(tmp_path: Path) -> None:
    expect.set_options(timeout=PATIENCE)
    with own_time_service(tmp_path, api_key=None) as service:
        async with browser() as chromium:
            page = await chromium.new_page()
            await page.goto(service.url)
            await page.get_by_role("button", name="Simulated call…").click()
            dialog = page.get_by_role("dialog", name="Simulated call")
            await expect(dialog.get_by_label("What the caller does")).to_have_value("demo-en")
            await expect(dialog).to_contain_text("interrupts a long answer")
            await dialog.get_by_role("button", name="Call", exact=True).click()

            await expect(page.get_by_role("heading", level=1)).to_contain_text("Simulated caller")
            await expect(page.get_by_role("button", name="Stop listening")).to_be_visible()
            for side in ("agent", "caller"):
                await until(page, f"document.querySelector('[aria-label=\"Loudness of the {side}\"]').value > 0.1")
            said = page.get_by_role("log", name="What was said")
            await expect(said).to_contain_text("Could you tell me how late you are open today?")
            await page.get_by_role("button", name="Hang up…").click()
            await page.get_by_role("button", name="Hang up", exact=True).click()
            await expect(page.get_by_text("The call is over.")).to_be_visible()

            await page.get_by_role("link", name="Calls", exact=True).click()
            await expect(page.get_by_text("No calls yet.")).to_be_visible()
            await page.get_by_role("link", name="Simulated", exact=True).click()
            await expect(page.locator("ul.calls > li")).to_contain_text("Simulated caller")
