"""The stand-in for Aura, as Deepgram's own SDK sees it."""

from typing import Any

import httpx
import pytest
from deepgram.core.api_error import ApiError

from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from tests.sandbox.vendors.deepgram.test_server import deepgram

ASKED: dict[str, Any] = {
    "model": "aura-2-thalia-en", "encoding": "linear16", "sample_rate": 16000, "container": "none",
}  # fmt: skip


async def spoken(sandbox: RunningSandbox, **asked: Any) -> bytes:
    async with httpx.AsyncClient(trust_env=False) as http:
        pieces = deepgram(sandbox, http).speak.v1.audio.generate(**{"text": "Hello.", **ASKED, **asked})
        return b"".join([piece async for piece in pieces])


async def test_the_sdk_gets_sound_of_the_length_of_the_text() -> None:
    async with running_sandbox() as sandbox:
        sound = await spoken(sandbox, text="We are open from nine to eight.")
    assert 1.0 < len(sound) / 2 / 16000 < 5.0


@pytest.mark.parametrize(
    "wrong",
    [{"model": "aura-2-anna-ru"}, {"encoding": "mp3"}, {"sample_rate": 11025}, {"text": ""}, {"text": "a" * 2001}],
)
async def test_what_deepgram_would_refuse_is_refused(wrong: dict[str, Any]) -> None:
    async with running_sandbox() as sandbox:
        with pytest.raises(ApiError) as refused:
            await spoken(sandbox, **wrong)
    assert refused.value.status_code == 400


async def test_faults_strike_it() -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.faults.add(Fault("deepgram", "refuse", route="v1/speak POST"))
        with pytest.raises(ApiError) as refused:
            await spoken(sandbox)
    assert refused.value.status_code == 503
