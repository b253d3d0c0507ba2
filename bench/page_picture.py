"""Takes the picture of the dashboard for the README: ``python -m bench.page_picture docs/dashboard.png``.

A simulated caller books a visit as in ``make demo``. Then Chromium opens the page of the call.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

from app.clock import utc_now
from sandbox.caller.caller import Caller
from sandbox.caller.scores import booking
from sandbox.child_server import free_port
from sandbox.clinic.clinic import TIMEZONE, Clinic
from sandbox.running import serving
from sandbox.vendors.voice import synthesize
from tests.browser.browsing import browser, logged_in
from tests.end_to_end.service import API_KEY, RunningService, running_service

_SIZE = {"width": 1280, "height": 900}
_ANALYSIS_SECONDS = 30.0


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(prog="python -m bench.page_picture", description=__doc__)
    parser.add_argument("file", type=Path, help="a .png")
    asyncio.run(_take(parser.parse_args().file))


async def _take(file: Path) -> None:
    clinic, port = Clinic(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "clinic.yaml"
        agent.write_text(clinic.agent(f"http://127.0.0.1:{port}"), encoding="utf-8")
        os.environ.update(clinic.environment())  # which the agent's file names
        settings = {"agent_prompt_file": agent, "webhook_allow_private": True, "tts_speed": 1.0}
        async with (
            serving(clinic.app, port=port),
            running_service(Path(folder) / "data", profile="typical", language="en", **settings) as service,
        ):
            call_id = await _call(service)
            await _picture(service, call_id, file)


async def _call(service: RunningService) -> str:
    score = booking("en", utc_now().astimezone(ZoneInfo(TIMEZONE)).date())
    async with Caller(
        service.url,
        lambda text, language, rate: synthesize(text, language, rate).pcm,
        sandbox_url=service.sandbox.url,
        api_key=API_KEY,
    ) as caller:
        report = await caller.call(score, number="+79991234567", metadata={"name": "Anna"})
    async with service.async_client() as http, asyncio.timeout(_ANALYSIS_SECONDS):
        while (await http.get(f"/calls/{report.call_id}/analysis")).json()["status"] != "done":  # noqa: ASYNC110 - a job of the service
            await asyncio.sleep(0.1)
    return report.call_id


async def _picture(service: RunningService, call_id: str, file: Path) -> None:
    async with browser() as chromium:
        page = await chromium.new_page(viewport=_SIZE, color_scheme="light")
        await logged_in(page, f"{service.url}/#/calls/{call_id}", API_KEY)
        await page.wait_for_load_state("networkidle")
        await asyncio.sleep(1.0)  # the waveform is drawn when its peaks have come
        await page.screenshot(path=file)


if __name__ == "__main__":
    main()
