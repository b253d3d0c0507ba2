"""Talking to the agent from the page: a microphone that hears a file, and what the page plays of the answers."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.async_api import Locator, Page, expect

from sandbox.vendors.voice import synthesize
from tests.browser.browsing import RATE, browser, logged_in, write_microphone
from tests.end_to_end.processes import KEY, ServiceProcess, sandbox_process, serving

pytestmark = pytest.mark.browser

QUESTION, INTERRUPTION, TYPED = "When are you open?", "Wait, and on Sunday?", "Can I book a visit?"
LONG = (
    "We are open every day from nine in the morning to eight in the evening. On Saturday we close at noon, and later."
)
SHORT = "On Sunday we are closed."
BOOKED = "Certainly. When would you like to come?"
HERE = Path(__file__).parent
SECONDS = 40_000
"""How long the page may take, in milliseconds: it waits for a call in real time."""


def says(text: str) -> np.ndarray:
    return np.frombuffer(synthesize(text, "en", RATE).pcm, "<i2")


async def script(service: ServiceProcess, call_id: str) -> None:
    """What the stand-ins for the vendors hear and answer in the call."""
    async with httpx.AsyncClient(base_url=f"{service.sandbox_url}/control/calls/{call_id}", trust_env=False) as http:
        for text in (QUESTION, INTERRUPTION):
            (await http.post("/utterances", json={"text": text})).raise_for_status()
        for text in (LONG, SHORT, BOOKED):
            (await http.post("/replies", json={"text": text})).raise_for_status()


async def call_from(page: Page, service: ServiceProcess) -> str:
    """Press the button; gives the call's id."""
    async with page.expect_response("**/media/sessions") as answered:
        await page.get_by_role("button", name="Call", exact=True).click()
    call_id: str = (await (await answered.value).json())["call_id"]
    await script(service, call_id)
    return call_id


def sound_of(samples: list[int]) -> np.ndarray:
    """Without the silence between utterances, which the page puts in."""
    heard = np.array(samples)
    return heard[heard != 0]


async def moves(meter: Locator) -> None:
    async with asyncio.timeout(SECONDS / 1000):
        while await meter.evaluate("meter => meter.value") < 0.3:
            await asyncio.sleep(0.02)


async def test_a_call_from_the_browser(tmp_path: Path) -> None:
    write_microphone(tmp_path / "mic.wav", [7.0, says(QUESTION), 3.5, says(INTERRUPTION), 60.0])
    async with (
        sandbox_process() as sandbox,
        serving(tmp_path / "data", sandbox, VA_LANGUAGE="en", GREETING="Good morning.") as service,
        browser(tmp_path / "mic.wav") as chromium,
    ):
        page = await chromium.new_page()
        page.set_default_timeout(SECONDS)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        await page.add_init_script(path=HERE / "heard.js")
        await logged_in(page, f"{service.url}/#/talk", KEY)
        call_id = await call_from(page, service)
        said = page.get_by_role("log", name="What is said")
        await moves(page.get_by_label("Loudness of the agent"))
        await moves(page.get_by_label("Loudness of your microphone"))
        for text in ("Good morning.", QUESTION, INTERRUPTION, SHORT):
            await expect(said).to_contain_text(text, timeout=SECONDS)
        await expect(said.get_by_text("not heard:")).to_be_visible()
        await expect(said.get_by_text("answered after")).to_have_count(2)

        await page.get_by_label("Type what you say").fill(TYPED)
        await page.get_by_role("button", name="Send").click()
        await expect(said).to_contain_text(BOOKED, timeout=SECONDS)
        await page.get_by_text("Keypad").click()
        await page.get_by_role("button", name="5", exact=True).click()
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_text("The caller hung up.")).to_be_visible()
        told: dict[str, Any] = await page.evaluate("window.told")
        async with service.client() as http:
            record = (await http.get(f"/calls/{call_id}")).json()

    assert [error for error in complaints if "401" not in error] == [], "401: the page asked before it had the key"
    turns = [(turn["role"], turn["kind"], turn["text"]) for turn in record["turns"]]
    assert [text for role, _kind, text in turns if role == "user"][:3] == [QUESTION, INTERRUPTION, TYPED]
    assert ("user", "typed", TYPED) in turns
    assert record["end_reason"] == "caller_hangup"
    assert record["caller_number"] == "browser"
    interrupted = next(turn for turn in record["turns"] if turn["interrupted"])
    assert interrupted["heard"] == "exact"
    sent, played = sound_of(told["sent"]), sound_of(told["played"])
    assert told["clears"] >= 1
    begins = 24000 // 2
    assert np.array_equal(played[:begins], sent[:begins]), "the greeting is played as it was sent"
    assert 0.3 * len(sent) < len(played) < len(sent), "what was cleared is not played"
