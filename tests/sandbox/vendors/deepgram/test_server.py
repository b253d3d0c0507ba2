"""The stand-in for Deepgram, as Deepgram's own SDK sees it."""

import asyncio
import io
import itertools
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types.listen_v1configure import ListenV1Configure
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from sandbox.vendors.stage import Limits, Utterance
from tests.sandbox.sounds import RATE, frames, silence, speech

FLUX = {"model": "flux-general-multi", "encoding": "linear16", "sample_rate": RATE}
NOVA: dict[str, Any] = {"model": "nova-3", "encoding": "linear16", "sample_rate": RATE}


def deepgram(sandbox: RunningSandbox, http: httpx.AsyncClient | None = None) -> AsyncDeepgramClient:
    sockets = sandbox.deepgram_base_url.replace("http", "ws")
    environment = DeepgramClientEnvironment(
        base=sandbox.deepgram_base_url, production=sockets, agent=sockets, agent_rest=sandbox.deepgram_base_url
    )
    return AsyncDeepgramClient(api_key="key", environment=environment, max_retries=0, httpx_client=http)


@asynccontextmanager
async def socket(sandbox: RunningSandbox, path: str, key: str = "Token key") -> AsyncIterator[ClientConnection]:
    url = sandbox.deepgram_base_url.replace("http", "ws") + path
    headers = {"Authorization": key}
    async with connect(url, additional_headers=headers, compression=None, proxy=None, close_timeout=0.5) as connection:
        yield connection


FLUX_PATH = "/v2/listen?model=flux-general-multi&encoding=linear16&sample_rate=16000"
NOVA_PATH = "/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000"


async def send(connection: Any, audio: bytes) -> None:
    for frame in frames(audio):
        await connection.send_media(frame)


async def turns(connection: Any, count: int) -> list[Any]:
    """Messages up to and with the count-th end of a turn."""
    messages = []
    while count:
        message = await connection.recv()
        messages.append(message)
        count -= getattr(message, "event", None) == "EndOfTurn"
    return messages


def news(messages: list[Any]) -> list[str]:
    """The events, without updates that say again what was known."""
    before = ["", *(m.transcript for m in messages)]
    return [m.event for m, known in zip(messages, before, strict=False) if m.event != "Update" or m.transcript != known]


async def test_flux_tells_a_turn_from_its_first_word_to_its_end() -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.call("c1").expect(Utterance("Здравствуйте, хочу записаться", duration=1.2, confidence=0.9))
        async with deepgram(sandbox).listen.v2.connect(**FLUX, tag="c1", language_hint=["ru", "en"]) as connection:
            await send(connection, silence(0.2) + speech(1.2) + silence(0.3))
            messages = await turns(connection, 1)
        assert [m.type for m in messages] == ["Connected"] + ["TurnInfo"] * (len(messages) - 1)
        assert [m.sequence_id for m in messages] == list(range(len(messages)))
        assert news(messages[1:]) == ["StartOfTurn", "Update", "Update", "EndOfTurn"]
        end = messages[-1]
        assert end.transcript == "Здравствуйте, хочу записаться"
        assert [word.word for word in end.words] == end.transcript.split()
        assert end.words[0].start == pytest.approx(0.2, abs=0.02)
        assert end.words[-1].end == pytest.approx(1.4, abs=0.05)
        assert end.words[0].confidence == 0.9
        assert end.audio_window_end == pytest.approx(1.6, abs=0.02)
        assert (end.trigger, end.languages, end.languages_hinted, end.turn_index) == ("model", ["ru"], ["ru", "en"], 0)
        noted = [timing["event"] for timing in sandbox.stage.call("c1").timings]
        assert noted == ["start_of_turn", "end_of_turn"]


async def test_flux_guesses_early_only_for_those_who_asked_and_keeps_its_word() -> None:
    async with running_sandbox() as sandbox:
        for tag, threshold in (("eager", 0.5), ("patient", None)):
            sandbox.stage.call(tag).expect(Utterance("Мне бы на завтра утром", pauses_at=(3,)), Utterance("Спасибо"))
            client = deepgram(sandbox)
            async with client.listen.v2.connect(**FLUX, tag=tag, eager_eot_threshold=threshold) as connection:
                await send(connection, speech(1) + silence(0.5) + speech(1) + silence(0.5) + speech(0.5) + silence(0.5))
                messages = await turns(connection, 2)
            marks = [(m.event, m.transcript) for m in messages[1:] if m.event not in ("StartOfTurn", "Update")]
            if threshold is None:
                assert marks == [("EndOfTurn", "Мне бы на завтра утром"), ("EndOfTurn", "Спасибо")]
            else:
                assert marks == [
                    ("EagerEndOfTurn", "Мне бы на"),
                    ("TurnResumed", "Мне бы на"),
                    ("EagerEndOfTurn", "Мне бы на завтра утром"),
                    ("EndOfTurn", "Мне бы на завтра утром"),
                    ("EagerEndOfTurn", "Спасибо"),
                    ("EndOfTurn", "Спасибо"),
                ]


async def test_flux_takes_a_new_configuration_and_ends_a_turn_by_hand() -> None:
    async with running_sandbox() as sandbox:
        async with deepgram(sandbox).listen.v2.connect(**FLUX, eot_threshold=1.0) as connection:
            assert (await connection.recv()).type == "Connected"
            await connection.send_configure({"type": "Configure", "keyterms": ["УЗИ"], "language_hints": ["ru"]})
            changed = await connection.recv()
            assert (changed.type, changed.keyterms, changed.language_hints) == ("ConfigureSuccess", ["УЗИ"], ["ru"])
            await send(connection, speech(0.6) + silence(1.5))
            await connection.send_force_end_turn()
            end = (await turns(connection, 1))[-1]
        assert (end.trigger, end.transcript) == ("manual", "hello")


@pytest.mark.parametrize(("threshold", "silence_seconds"), [(0.5, 0.2), (0.7, 0.3), (0.9, 0.55)])
async def test_flux_waits_as_long_as_the_threshold_that_it_was_told_demands(
    threshold: float, silence_seconds: float
) -> None:
    async with running_sandbox(profile="typical") as sandbox:
        sandbox.stage.call("c1").expect(Utterance("Да", duration=0.5))
        async with deepgram(sandbox).listen.v2.connect(**FLUX, tag="c1", eager_eot_threshold=0.5) as connection:
            await connection.recv()
            await connection.send_configure({"type": "Configure", "thresholds": {"eot_threshold": threshold}})
            told = await connection.recv()
            assert told.thresholds.eot_threshold == threshold
            assert told.thresholds.eager_eot_threshold == 0.5
            assert told.thresholds.eot_timeout_ms == 5000
            await send(connection, speech(0.5) + silence(1.2))
            await turns(connection, 1)
        (end,) = [each for each in sandbox.stage.call("c1").timings if each["event"] == "end_of_turn"]
        assert end["silence"] == pytest.approx(silence_seconds, abs=0.12)


async def test_a_higher_threshold_bridges_a_pause_that_the_usual_one_takes_for_the_end() -> None:
    for threshold, ends in ((0.7, ["Мой номер", "сорок два"]), (0.9, ["Мой номер сорок два"])):
        async with running_sandbox() as sandbox:
            sandbox.stage.call("c1").expect(Utterance("Мой номер сорок два", pauses_at=(2,)))
            async with deepgram(sandbox).listen.v2.connect(**FLUX, tag="c1") as connection:
                configure = {"type": "Configure", "thresholds": {"eot_threshold": threshold}}
                await connection.send_configure(configure)
                await send(connection, speech(1) + silence(1.3) + speech(1) + silence(2.5))
                heard = await turns(connection, len(ends))
            assert [m.transcript for m in heard if getattr(m, "event", None) == "EndOfTurn"] == ends


@pytest.mark.parametrize(
    "thresholds",
    [{"eot_threshold": 0.4}, {"eot_threshold": "high"}, {"eager_eot_threshold": 0.8}, {"eot_timeout_ms": 100}],
)
async def test_flux_refuses_thresholds_out_of_range_and_goes_on(thresholds: dict[str, Any]) -> None:
    async with running_sandbox() as sandbox, deepgram(sandbox).listen.v2.connect(**FLUX) as connection:
        await connection.recv()
        await connection.send_configure({"type": "Configure", "thresholds": thresholds})
        refused = await connection.recv()
        assert (refused.type, refused.code) == ("ConfigureFailure", "INVALID_CONFIGURATION")
        await send(connection, speech(0.6) + silence(1))
        assert (await turns(connection, 1))[-1].transcript == "hello"


async def test_flux_closes_on_messages_it_does_not_know() -> None:
    for unknown in ("KeepAlive", "Finalize"):
        async with running_sandbox() as sandbox, socket(sandbox, FLUX_PATH) as connection:
            await connection.send(json.dumps({"type": unknown}))
            assert [json.loads(await connection.recv())["type"] for _ in range(2)] == ["Connected", "Error"]
            await connection.wait_closed()
            assert connection.close_code == 1011


async def test_a_cough_starts_no_turn() -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.call("c1").expect(Utterance(""), Utterance("Да"))
        async with deepgram(sandbox).listen.v2.connect(**FLUX, tag="c1") as connection:
            await send(connection, speech(0.3) + silence(0.6) + speech(0.4) + silence(0.3))
            messages = await turns(connection, 1)
        assert news(messages[1:]) == ["StartOfTurn", "EndOfTurn"]
        assert messages[-1].transcript == "Да"


async def test_a_turn_does_not_end_while_no_audio_comes() -> None:
    async with running_sandbox() as sandbox, socket(sandbox, FLUX_PATH) as connection:
        await connection.send(speech(0.8))
        assert json.loads(await connection.recv())["type"] == "Connected"
        assert json.loads(await connection.recv())["event"] == "StartOfTurn"
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.1):
                    assert json.loads(await connection.recv())["event"] == "Update"
        await connection.send(json.dumps({"type": "CloseStream"}))
        assert json.loads(await connection.recv())["event"] == "EndOfTurn"
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1000


async def test_flux_reports_every_quarter_of_a_second_with_or_without_words() -> None:
    async with running_sandbox() as sandbox:
        async with deepgram(sandbox).listen.v2.connect(**FLUX, tag="c1") as connection:
            await send(connection, silence(1.0) + speech(0.6) + silence(1.0))
            reported = [0.0]
            while reported[-1] < 2.5:
                message = await connection.recv()
                reported.append(getattr(message, "audio_window_end", 0.0))
        assert max(later - sooner for sooner, later in itertools.pairwise(reported)) <= 0.26


async def test_what_a_lost_connection_had_not_finished_is_heard_again_on_the_next() -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.call("c1").expect(Utterance("Алло, вы слышите", duration=1.0), Utterance("Да"))
        async with socket(sandbox, FLUX_PATH + "&tag=c1") as connection:
            await connection.send(speech(0.6))
            assert json.loads(await connection.recv())["type"] == "Connected"
            assert json.loads(await connection.recv())["event"] == "StartOfTurn"
        async with deepgram(sandbox).listen.v2.connect(**FLUX, tag="c1") as again:
            await send(again, speech(1.0) + silence(0.3) + speech(0.3) + silence(0.3))
            messages = await turns(again, 2)
        assert [m.transcript for m in messages[1:] if m.event == "EndOfTurn"] == ["Алло, вы слышите", "Да"]


async def test_nova_tells_interim_and_final_results() -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.call("c1").expect(Utterance("Hello there, my friend."))
        async with deepgram(sandbox).listen.v1.connect(
            **NOVA,
            tag="c1",
            interim_results="true",
            vad_events="true",
            endpointing=300,
            punctuate="true",
            utterance_end_ms="1000",
        ) as connection:
            await send(connection, silence(0.3) + speech(1.5) + silence(1.5))
            messages = [await connection.recv() for _ in range(7)]
            await connection.send_keep_alive()
            await connection.send_finalize()
            flushed = await connection.recv()
            await connection.send_configure(ListenV1Configure(type="Configure", keyterms=["МРТ"]))
            configured = await connection.recv()
            await connection.send_close_stream()
            metadata = await connection.recv()
        assert [m.type for m in messages] == ["SpeechStarted"] + ["Results"] * 5 + ["UtteranceEnd"]
        results = messages[1:6]
        assert [(m.is_final, m.speech_final) for m in results] == [(False, False)] * 4 + [(True, True)]
        final = results[-1].channel.alternatives[0]
        assert final.transcript == "Hello there, my friend."
        assert [(word.word, word.punctuated_word) for word in final.words][1:] == [
            ("there", "there,"), ("my", "my"), ("friend", "friend.")
        ]  # fmt: skip
        assert messages[-1].last_word_end == pytest.approx(1.8, abs=0.2)
        assert (flushed.from_finalize, flushed.is_final) == (True, True)
        assert configured.keyterms == ["МРТ"]
        assert (metadata.type, metadata.duration) == ("Metadata", pytest.approx(3.3))


async def test_nova_without_endpointing_ends_an_utterance_by_the_gap_alone() -> None:
    async with (
        running_sandbox() as sandbox,
        socket(
            sandbox, NOVA_PATH + "&endpointing=false&interim_results=true&utterance_end_ms=1000&language=ru"
        ) as connection,
    ):
        await connection.send(speech(0.5) + silence(1.5))
        messages = [json.loads(await connection.recv()) for _ in range(3)]
        assert [(m["type"], m.get("is_final"), m.get("speech_final")) for m in messages] == [
            ("Results", False, False),
            ("Results", True, False),
            ("UtteranceEnd", None, None),
        ]
        assert messages[1]["channel"]["alternatives"][0]["transcript"] == "алло"


async def test_nova_closes_without_audio_and_keepalives() -> None:
    async with (
        running_sandbox(limits=Limits(nova_idle_seconds=0.1)) as sandbox,
        socket(sandbox, NOVA_PATH) as connection,
    ):
        await connection.wait_closed()
        assert (connection.close_code, connection.close_reason) == (1011, "NET-0001")


async def test_a_recording_is_transcribed_raw_or_as_wav() -> None:
    audio = silence(0.2) + speech(1.5) + silence(0.3)
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(audio)
    async with running_sandbox() as sandbox, httpx.AsyncClient() as http:
        sandbox.stage.call("c1").expect(Utterance("Запишите меня."), Utterance("Запишите меня."))
        transcribe = deepgram(sandbox, http).listen.v1.media.transcribe_file
        raw = await transcribe(
            request=audio,
            model="nova-3",
            encoding="linear16",
            tag="c1",
            punctuate=True,
            request_options={"additional_query_parameters": {"sample_rate": RATE}},
        )
        whole = await transcribe(request=file.getvalue(), model="nova-3", tag="c1", detect_language=True)
        nothing = await transcribe(request=file.getvalue(), model="nova-3", tag="c1")
    assert raw.results.channels[0].alternatives[0].transcript == "Запишите меня."
    assert whole.results.channels[0].alternatives[0].transcript == "запишите меня"
    assert (whole.results.channels[0].detected_language, whole.metadata.duration) == ("ru", 2.0)
    assert nothing.results.channels[0].alternatives[0].transcript == ""


async def test_who_has_no_key_or_asks_for_what_does_not_exist_is_turned_away() -> None:
    async with running_sandbox() as sandbox:
        for path, key, status in (
            (FLUX_PATH, "Token ", 401),
            (NOVA_PATH, "Basic abc", 401),
            (FLUX_PATH.replace("flux-general-multi", "flux-9"), "Token key", 400),
            (NOVA_PATH.replace("nova-3", "flux-general-en"), "Token key", 400),
            (NOVA_PATH + "&utterance_end_ms=1000", "Token key", 400),
            (FLUX_PATH.replace("linear16", "opus"), "Token key", 400),
            (FLUX_PATH + "&eot_threshold=0.1", "Token key", 400),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with socket(sandbox, path, key):
                    pass
            assert refused.value.response.status_code == status
            assert refused.value.response.headers["dg-error"]


@pytest.mark.parametrize(("kind", "status"), [("refuse", 503), ("unauthorized", 401), ("rate_limit", 429)])
async def test_a_fault_turns_the_client_away(kind: Any, status: int) -> None:
    async with running_sandbox() as sandbox:
        sandbox.stage.faults.add(Fault("deepgram", kind, after=1, times=1, retry_after=2))
        async with deepgram(sandbox).listen.v2.connect(**FLUX):
            pass
        with pytest.raises(ApiError) as refused:
            async with deepgram(sandbox).listen.v2.connect(**FLUX):
                pass
        assert refused.value.status_code == status
        context: Any = refused.value.__context__
        assert context.headers["Retry-After"] == "2"
        async with deepgram(sandbox).listen.v2.connect(**FLUX) as connection:
            assert (await connection.recv()).type == "Connected"


async def heard_under(fault: Fault) -> tuple[list[str], int | None]:
    """What one client is sent, without signs of life, and the close code; -1 when the socket stayed open."""
    async with running_sandbox() as sandbox:
        sandbox.stage.faults.add(fault)
        async with socket(sandbox, FLUX_PATH) as connection:
            await connection.send(speech(0.5) + silence(0.5))
            messages: list[str] = []
            try:
                while True:
                    async with asyncio.timeout(0.2):
                        messages.append(str(await connection.recv()))
                        if '"Update"' in messages[-1]:
                            del messages[-1]
            except ConnectionClosed as closed:
                return messages, closed.rcvd.code if closed.rcvd else None
            except TimeoutError:
                return messages, -1


async def test_every_fault_strikes_a_stream_in_its_own_way() -> None:
    whole, code = await heard_under(Fault("deepgram", "refuse", call_id="someone else"))
    assert (len(whole), code) == (3, -1)
    assert await heard_under(Fault("deepgram", "hang")) == ([], -1)
    stalled, code = await heard_under(Fault("deepgram", "stall"))
    assert (len(stalled), code) == (2, -1)
    cut, code = await heard_under(Fault("deepgram", "cut"))
    assert (len(cut), code) == (2, None)
    assert (await heard_under(Fault("deepgram", "cut", close_code=1011)))[1] == 1011
    timed, code = await heard_under(Fault("deepgram", "cut", after_seconds=0.05))
    assert (len(timed), code) == (3, None)
    garbage, code = await heard_under(Fault("deepgram", "garbage", after_items=1))
    assert (len(garbage), code) == (4, -1)
    with pytest.raises(ValueError, match="line 1"):
        json.loads(garbage[1])
    broken, code = await heard_under(Fault("deepgram", "error_event", after_items=1))
    assert (json.loads(broken[-1])["type"], code) == ("Error", 1011)
    loop = asyncio.get_running_loop()
    began = loop.time()
    slow, code = await heard_under(Fault("deepgram", "slow", seconds_per_item=0.05))
    assert (len(slow), code) == (3, -1)
    assert loop.time() - began >= 0.15 + 0.2


async def test_every_fault_strikes_a_recording_at_once() -> None:
    async with running_sandbox() as sandbox, httpx.AsyncClient() as http:
        client = deepgram(sandbox, http)

        async def strike(fault: Fault) -> Any:
            sandbox.stage.faults.clear()
            sandbox.stage.faults.add(fault)
            async with asyncio.timeout(0.2):
                return await client.listen.v1.media.transcribe_file(
                    request=speech(1), model="nova-3", encoding="linear16",
                    request_options={"additional_query_parameters": {"sample_rate": RATE}},
                )  # fmt: skip

        assert (await strike(Fault("deepgram", "slow", seconds_per_item=0.05))).results.channels
        for kind, error in (
            ("refuse", ApiError), ("error_event", ApiError), ("hang", TimeoutError), ("stall", TimeoutError)
        ):  # fmt: skip
            with pytest.raises(error):
                await strike(Fault("deepgram", kind))  # type: ignore[arg-type]
        with pytest.raises(httpx.TransportError):
            await strike(Fault("deepgram", "cut"))
        with pytest.raises(ApiError):
            await strike(Fault("deepgram", "garbage"))
