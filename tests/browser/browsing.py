"""Chromium for tests: it has no network but this machine, and its microphone hears a file."""

import asyncio
import shutil
import wave
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, Page, async_playwright

RATE = 48000
AXE = Path(__file__).parent / "axe" / "axe.min.js"
"""axe-core 4.14.1 (MPL-2.0), for these tests only."""
PATIENCE = 15_000
"""Milliseconds."""


def chromium_path() -> str:
    """Where Chromium is."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "Chromium is missing: on Debian and Ubuntu, apt install chromium"
    return found


def write_microphone(path: Path, pieces: Iterable[np.ndarray | float]) -> None:
    """What the microphone hears: 16-bit samples at ``RATE``, or seconds of silence."""
    silence = (np.zeros(round(each * RATE)) if isinstance(each, float) else each for each in pieces)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.concatenate(list(silence)).astype("<i2").tobytes())


@asynccontextmanager
async def browser(microphone: Path | None = None) -> AsyncIterator[Browser]:
    """Chromium, whose microphone hears the file once; without a file it has none."""
    hears = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", *(hears if microphone else [])]
        )
        try:
            yield opened
        finally:
            await opened.close()


async def logged_in(page: Page, url: str, key: str) -> None:
    """Open the dashboard and give it the key."""
    await page.goto(url)
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()


async def until(page: Page, expression: str) -> None:
    """Wait until it is true. The page's policy keeps Playwright from waiting for it by itself."""
    async with asyncio.timeout(PATIENCE / 1000):
        while not await page.evaluate(f"Boolean({expression})"):
            await asyncio.sleep(0.02)


async def complaints_of(page: Page) -> list[str]:
    """What axe says of the page as it is, in both themes on three widths; also whether it scrolls sideways."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    found: list[str] = []
    for width, theme in product((320, 390, 1280), ("light", "dark")):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme=theme)
        result = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        found += [
            f"{width} {theme}: {broken['id']}: {node['html'][:120]}; {node['failureSummary'][:160]}"
            for broken in result["violations"]
            for node in broken["nodes"][:3]
        ]
        wide = await page.evaluate("document.documentElement.scrollWidth")
        found += [f"{width}: scrolls sideways, {wide} pixels"] if wide > width else []
    return found
