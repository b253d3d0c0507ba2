"""Every view after real calls: what is on it, what the keys do, and that nothing else is asked or complained of."""

import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.browsing import PATIENCE, browser, complaints_of, until
from tests.browser.busy_service import HOURS, LIVE_SECONDS_MAX, BusyService, busy_service, live_call

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyService]:
    with busy_service(tmp_path_factory.mktemp("views")) as busy:
        yield busy


@asynccontextmanager
async def a_page(busy: BusyService, chromium: Browser, path: str = "", **options: Any) -> AsyncIterator[Page]:
    """A page of the service. At its end, nothing was complained of and nobody else was asked."""
    context = await chromium.new_context(**options)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    complaints: list[str] = []
    asked: set[str] = set()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.add("/".join(request.url.split("/")[:3])))
    await page.goto(f"{busy.url}/{path}")
    yield page
    assert complaints == []
    assert asked == {busy.url}
    await context.close()


async def test_the_worst_call_is_found_from_the_figures_and_says_what_went_wrong(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium) as page:
        await page.get_by_role("link", name="Figures").click()
        await page.get_by_role("link", name="Today").click()
        worst = page.get_by_role("region", name="Worst calls")
        await worst.get_by_role("link").first.click()

        wrong = page.get_by_role("region", name="What went wrong")
        await expect(wrong).to_contain_text("openai gave no answer: provider_unavailable")
        await expect(wrong).to_contain_text("Tool find_free_times: failed")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("+70000000003")
        await expect(page.get_by_role("region", name="Conversation")).to_contain_text("One moment.")
        await expect(page).to_have_title("Call · Voice agent")


async def test_a_press_on_the_waveform_or_a_turn_plays_from_there_and_keys_move(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium, f"#/calls/{busy.good.call_id}") as page:
        waveform = page.get_by_role("slider", name="Place in the recording")
        await expect(waveform).to_be_visible()
        length = busy.good.record["duration_seconds"]
        box = await waveform.bounding_box()
        assert box is not None
        await waveform.click(position={"x": box["width"] / 2, "y": 30})
        await until(page, f"document.querySelector('audio').currentTime >= {length / 2 - 0.1}")
        assert await page.evaluate("document.querySelector('audio').currentTime") < length / 2 + 2

        await waveform.press("Enter")
        assert await page.evaluate("document.querySelector('audio').paused")
        await waveform.press("Home")
        await waveform.press("ArrowRight")
        await expect(waveform).to_have_attribute("aria-valuenow", "1")
        assert await page.evaluate("document.querySelector('audio').currentTime") == 1
        turn = next(turn for turn in busy.good.record["turns"] if turn["number"] == 3)
        said = page.get_by_role("log", name="What was said").get_by_role("article").filter(has_text=turn["text"])
        await said.get_by_role("button", name="Play from").click()
        await until(page, f"document.querySelector('audio').currentTime >= {turn['started_at'] - 0.1}")
        assert await page.evaluate(COLOURED_PIXELS) > 200


COLOURED_PIXELS = """() => {
  const canvas = document.querySelector(".waveform canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let at = 0; at < data.length; at += 4) coloured += data[at + 3] > 200 && Math.abs(data[at] - data[at + 2]) > 30;
  return coloured;
}"""


async def test_the_call_shows_stages_against_the_budget_and_everything_written_down(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium, f"#/calls/{busy.interrupted.call_id}") as page:
        stages = page.get_by_role("region", name="Answers by stage")
        await expect(stages.get_by_role("img")).to_have_count(2)
        await expect(stages).to_contain_text("The line marks 1.50 s")
        await expect(page.locator(".unheard")).to_contain_text("not heard:")
        await page.get_by_text("Explanation: everything in order").click()
        text = await page.get_by_role("region", name="Explanation").inner_text()
        assert busy.interrupted.call_id in text
        await page.get_by_text("Journal: every event").click()
        rows = page.get_by_role("region", name="Journal, table").locator("tbody tr")
        await expect(rows).to_have_count(len(busy.interrupted.journal))
        await page.get_by_text("Webhooks", exact=True).last.click()
        await expect(page.get_by_text("No endpoint was to hear of this call.")).to_be_visible()

        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Download all as one zip").click()
        download = await coming.value
        with ZipFile(io.BytesIO(Path(await download.path()).read_bytes())) as files:
            names = {Path(name).name for name in files.namelist()}
            record = json.loads(files.read(f"{busy.interrupted.call_id}/call.json"))
        assert {"call.json", "events.json", "transcript.txt", "explanation.txt", "recording.wav"} <= names
        assert record["call_id"] == busy.interrupted.call_id
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Make a test of this call").click()
        with ZipFile(io.BytesIO(Path(await (await coming.value).path()).read_bytes())) as files:
            endings = {Path(name).suffix for name in files.namelist()}
        assert endings == {".yaml", ".wav"}


async def test_calls_are_searched_filtered_and_ordered(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium, "#/calls") as page:
        rows = page.locator("ul.calls > li")
        await expect(rows).to_have_count(3)
        await page.get_by_role("searchbox").fill("sunday")
        await page.get_by_role("button", name="Search").click()
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("+70000000002")
        await page.get_by_role("searchbox").fill("0000001")
        await page.get_by_role("searchbox").press("Enter")
        await expect(rows).to_contain_text("+70000000001")

        await page.goto(f"{busy.url}/#/calls")
        await page.get_by_text("Filters", exact=True).click()
        await page.get_by_label("How it ended").select_option("caller_hangup")
        await page.get_by_role("button", name="Apply").click()
        await expect(rows).to_contain_text("+70000000002")
        await expect(rows).to_have_count(1)
        for shortcut in ("Worst first", "Failed"):
            await page.get_by_role("link", name=shortcut, exact=True).click()
            await expect(rows).to_have_count(1)
            await expect(rows).to_contain_text("openai failed")
        await page.get_by_role("link", name="All", exact=True).click()
        await expect(rows).to_have_count(3)


async def test_a_live_call_stays_in_its_place_while_it_is_read_and_an_operator_can_act(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium) as page:
        with live_call(busy.service):
            cards = page.locator(".live-call")
            await expect(cards).to_have_count(1)
            await expect(cards).to_contain_text("From nine to five.")
            await expect(page.get_by_text("1 call on the line")).to_be_visible()
            box = await cards.bounding_box()
            with live_call(busy.service):
                await expect(cards).to_have_count(2)
                assert await cards.first.bounding_box() == box
            await expect(page.locator(".live-call.over")).to_have_count(1)
            assert await cards.first.bounding_box() == box
            await cards.first.click()

            said = page.get_by_role("log", name="What was said")
            first = said.get_by_role("article").filter(has_text=HOURS)
            place = await first.bounding_box()
            await page.get_by_label("Have the agent say").fill("The doctor is ill.")
            await page.get_by_role("button", name="Say").click()
            await expect(said).to_contain_text("The doctor is ill.")
            assert (await first.bounding_box(), await page.evaluate("scrollY")) == (place, 0)

            await page.get_by_role("button", name="Hang up…").click()
            await page.get_by_role("button", name="Stay on the line").click()
            await expect(page.get_by_text("The call is over.")).to_have_count(0)
            await page.get_by_role("button", name="Hang up…").click()
            await page.get_by_role("button", name="Hang up", exact=True).click()
            await page.get_by_role("button", name="Show the record").click(timeout=LIVE_SECONDS_MAX * 1000)
        await expect(page.get_by_text("An operator hung up.").first).to_be_visible()


async def test_an_operator_listens_in_to_a_live_call(busy: BusyService) -> None:
    async with browser() as chromium:
        with live_call(busy.service) as live:
            async with a_page(busy, chromium, f"#/calls/{live}") as page:
                await page.get_by_role("button", name="Listen in").click()
                await page.get_by_label("Have the agent say").fill("We close early on Friday. " * 3)
                await page.get_by_role("button", name="Say", exact=True).click()
                await until(page, "document.querySelector('[aria-label=\"Loudness of the agent\"]').value > 0.3")
                await page.get_by_role("button", name="Stop listening").click()
                await expect(page.get_by_label("Loudness of the agent")).to_be_hidden()


async def test_new_calls_wait_until_the_reader_asks_for_them(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium, "#/calls") as page:
        first = page.locator("ul.calls > li").first
        told = await first.inner_text()
        with live_call(busy.service):
            fresh = page.get_by_role("button", name=re.compile("new or changed"))
            await expect(fresh).to_be_visible()
            assert await first.inner_text() == told
            await fresh.click()
            await expect(first).to_contain_text("+70000000009")
            await expect(first.get_by_role("link")).to_be_focused()


async def test_everything_is_reached_with_keys(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium, "#/calls") as page:
        await expect(page.locator("ul.calls > li").first).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Now")).to_be_focused()
        reached: list[str] = []
        for _ in range(40):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent || document.activeElement.id"))
            if await page.evaluate("document.activeElement.matches('.call')"):
                break
        assert {"Figures", "Health", "Talk", "Worst first", "text", "Search"} <= set(reached)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Conversation")).to_be_visible()
        assert await page.evaluate("document.activeElement.id") == "main"


async def test_health_shows_vendors_limits_spending_and_webhooks(busy: BusyService) -> None:
    async with browser() as chromium, a_page(busy, chromium, "#/health") as page:
        parts = page.get_by_role("region", name="Vendors and parts", exact=True)
        await expect(parts).to_contain_text("closed: requests go through")
        limits = page.get_by_role("region", name="Limits of the vendors", exact=True)
        await expect(limits).to_contain_text("deepgram-listen")
        await expect(page.get_by_role("region", name="Spending today")).to_contain_text("$")
        await expect(page.get_by_role("region", name="Webhooks")).to_contain_text("Waiting")
        await expect(page.get_by_role("region", name="The service")).to_contain_text("50 possible")


async def test_axe_finds_nothing_in_either_theme_at_any_width(busy: BusyService) -> None:
    failed, good = busy.failed.call_id, busy.good.call_id
    views = ["#/", "#/calls?late=true", f"#/calls/{failed}", f"#/calls/{good}", "#/figures", "#/health"]
    views += ["#/agents", "#/webhooks", "#/talk"]
    found: list[str] = []
    async with browser() as chromium, a_page(busy, chromium) as page:
        with live_call(busy.service) as live:
            for view in [*views, f"#/calls/{live}"]:
                await page.goto(f"{busy.url}/{view}")
                await until(page, "document.querySelector('h1') && !document.querySelector('main > .hint:only-child')")
                await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
                await expect(page.get_by_text("Loading…")).to_have_count(0)
                found += [f"{view} {each}" for each in await complaints_of(page)]
    assert found == [], "\n".join(found)
