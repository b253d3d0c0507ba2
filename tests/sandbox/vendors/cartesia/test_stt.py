"""The stand-in for Cartesia's speech recognition, as Cartesia's own SDK sees it."""

from typing import Any

import cartesia
import pytest

from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from sandbox.vendors.stage import Utterance
from tests.sandbox.sounds import RATE, frames, silence, speech

HEADERS = {"X-Call-Id": "call-1"}


def sdk(sandbox: RunningSandbox) -> cartesia.AsyncCartesia:
    http = cartesia.DefaultAsyncHttpxClient(trust_env=False)
    return cartesia.AsyncCartesia(api_key="key", base_url=sandbox.cartesia_base_url, max_retries=0, http_client=http)


async def streamed(sandbox: RunningSandbox, audio: bytes, *words: Any) -> list[dict[str, Any]]:
    """The messages after all audio and these words were sent, until the socket closes."""
    async with (
        sdk(sandbox) as client,
        client.stt.manual_finalize.websocket(
            model="ink-whisper",
            encoding="pcm_s16le",
            sample_rate=RATE,
            extra_query={"language": "en"},
            extra_headers=HEADERS,
        ) as connection,
    ):
        for frame in frames(audio):
            await connection.send_raw(frame)
        for word in words:
            await connection.send(word)
        return [message.model_dump(exclude_none=True) async for message in connection]


async def test_the_sdk_gets_interim_words_final_ones_and_the_ends() -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.call("call-1").expect(Utterance("when do you open"), Utterance("thanks"))
        audio = speech(1.0) + silence(0.3)
        messages = await streamed(sandbox, audio, "finalize", "close")
    kinds = [message["type"] for message in messages]
    assert kinds[-2:] == ["flush_done", "done"]
    pieces = [message for message in messages if message["type"] == "transcript"]
    assert [piece["is_final"] for piece in pieces][-1] is True
    assert not any(piece["is_final"] for piece in pieces[:-1])
    assert pieces[-1]["text"] == "when do you open"
    assert pieces[-1]["language"] == "en"


async def test_silence_makes_words_final_and_the_pieces_join_as_they_are() -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.call("call-1").expect(Utterance("when do you open"), Utterance("tomorrow"))
        messages = await streamed(sandbox, speech(1.0) + silence(1.2) + speech(0.6) + silence(0.3), "close")
    final = [message["text"] for message in messages if message.get("is_final")]
    assert "".join(final) == "when do you open tomorrow"


async def test_a_whole_recording_is_transcribed() -> None:
    async with running_sandbox() as sandbox, sdk(sandbox) as client:
        sandbox.stage.call("call-1").expect(Utterance("call me back"))
        heard = await client.stt.transcribe(
            file=("a.raw", speech(1.0)), model="ink-whisper", encoding="pcm_s16le", sample_rate=RATE,
            language="en", extra_headers=HEADERS,
        )  # fmt: skip
    assert (heard.text, heard.language, heard.duration) == ("call me back", "en", 1.0)


@pytest.mark.parametrize("kind", ["refuse", "unauthorized", "rate_limit"])
async def test_faults_turn_clients_away(kind: str) -> None:
    async with running_sandbox() as sandbox, sdk(sandbox) as client:
        sandbox.stage.faults.add(Fault("cartesia", kind, route="stt POST"))
        with pytest.raises(cartesia.APIStatusError) as refused:
            await client.stt.transcribe(
                file=("a.raw", speech(0.1)), model="ink-whisper", encoding="pcm_s16le", sample_rate=RATE
            )
    assert refused.value.status_code == {"refuse": 503, "unauthorized": 401, "rate_limit": 429}[kind]


async def test_what_cartesia_would_refuse_is_refused() -> None:
    async with running_sandbox() as sandbox, sdk(sandbox) as client:
        with pytest.raises(cartesia.BadRequestError):
            await client.stt.transcribe(file=("a.raw", speech(0.1)), model="ink-9", sample_rate=RATE)
