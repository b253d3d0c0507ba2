"""Which vendors hold a call: those of its plan, whoever they are, and each call has its own."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np
import pytest

from app.calls.agent.profile import AgentProfile
from app.clients.entry import ClientSetup
from app.clients.fallback.model import FallbackModel
from app.clients.registry import ENTRIES, VendorRegistry
from app.conversation.policy import CallPolicy
from app.errors import SettingsError
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from app.settings import load_settings
from media.formats import AudioFormat
from tests.calls.desk import desk
from tests.calls.fakes import AGENT, LINES, LiveCall, World, live_call, only
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.vendors import ScriptedTool
from tests.toy_vendor import entries as toy
from tests.toy_vendor.clients import QUESTION, ToyLLM, ToySTT, ToyTTS

VIRTUAL_TIME = True

TOY = replace(
    AGENT,
    stt=SttOptions("toy-ear-1", "en"),
    llm=LlmOptions("toy-mind-1"),
    tts=TtsOptions("toy-voice-1"),
    voices={"en": "toy-anna"},
)


def vendors(*names: str, **fallbacks: tuple[str, ...]) -> VendorRegistry:
    """The real ones, and toys of those names; nobody stands in for anybody but the given fallbacks."""
    toys = [entry for name in names for entry in toy.entries(name)]
    nobody = {f"{kind}_fallbacks": ("none",) for kind in ("stt", "llm", "tts")}
    settings = load_settings(None).model_copy(update={**nobody, **fallbacks})
    return VendorRegistry(ClientSetup(settings), [*toys, *ENTRIES])


async def asks(call: LiveCall) -> None:
    """The caller is quiet, makes a sound of a second, and is quiet again."""
    tone = (8000 * np.sin(np.arange(8000) * 2 * np.pi * 300 / 8000)).astype("<i2").tobytes()
    sound = TELEPHONE.silence(4000) + tone + TELEPHONE.silence(8000)
    for start in range(0, len(sound), 320):
        await call.frames(sound[start : start + 320])
        await asyncio.sleep(0.02)


async def test_a_vendor_that_is_one_folder_and_one_line_holds_a_whole_call() -> None:
    world = World(agent=TOY, vendors=vendors("toy"))

    async with live_call(world, FarEnd()) as call:
        await asks(call)
        await call.until("agent.finished", 2)

    assert call.turns() == [
        ("assistant", LINES.greeting),
        ("user", QUESTION),
        ("assistant", "At nine, says toy-mind-1."),
    ]
    used = {(row.data["stage"], row.data["provider"], row.data["model"]) for row in call.rows_of("provider.used")}
    assert used == {
        ("listen", "toy", "toy-ear-1"), ("think", "toy", "toy-mind-1"), ("speak", "toy", "toy-voice-1"),
    }  # fmt: skip
    assert call.rows[0].data["agent"]["models"] == {"stt": "toy-ear-1", "llm": "toy-mind-1", "tts": "toy-voice-1"}
    assert call.rows[0].data["agent"]["chains"] == {}
    assert call.body.record.costs == {"stt": 0.01, "llm": 0.01, "tts": 0.02, "telephony": 0.0, "total": 0.04}


async def test_row_1_lists_who_may_serve_the_call() -> None:
    registry = vendors("toy", stt_fallbacks=("deepgram-nova",), llm_fallbacks=("again",), tts_fallbacks=("phrases",))
    async with live_call(World(agent=TOY, vendors=registry), FarEnd()) as call:
        await call.until("agent.finished")

    assert call.rows[0].data["agent"]["chains"] == {
        "stt": ["toy-hear", "deepgram-nova"],
        "llm": ["toy-think", "again"],
        "tts": ["toy-speak", "phrases"],
    }


async def test_two_agents_with_other_vendors_models_voices_and_languages_hold_calls_at_once() -> None:
    registry = vendors("red", "blue")
    russian = replace(LINES, greeting="Здравствуйте!")
    red = replace(
        TOY, stt=SttOptions("red-ear", "en"), llm=LlmOptions("red-mind"), tts=TtsOptions("red-voice"), name="red"
    )
    blue = replace(
        TOY,
        stt=SttOptions("blue-ear", "ru"),
        llm=LlmOptions("blue-mind"),
        tts=TtsOptions("blue-voice"),
        language="ru",
        voices={"ru": "boris"},
        policy=CallPolicy(lines={"ru": russian}),
        name="blue",
    )
    world = World(agent=red, vendors=registry)

    async with live_call(world, FarEnd(), call_id="call-red") as one:
        world.agent = blue
        async with live_call(world, FarEnd(), call_id="call-blue") as other:
            async with asyncio.TaskGroup() as tasks:
                for call in (one, other):
                    tasks.create_task(asks(call), name=call.call_id)
            await one.until("agent.finished", 2)
            await other.until("agent.finished", 2)

    assert one.turns()[-1] == ("assistant", "At nine, says red-mind.")
    assert other.turns() == [
        ("assistant", "Здравствуйте!"),
        ("user", QUESTION),
        ("assistant", "At nine, says blue-mind."),
    ]
    for call, agent in ((one, red), (other, blue)):
        stt = cast(ToySTT, registry.stt(agent.stt, TELEPHONE))
        llm = cast(ToyLLM, registry.llm(agent.llm))
        tts = cast(ToyTTS, registry.tts(agent.tts))
        assert stt.provider == llm.provider == tts.provider == agent.name
        assert stt.listened == [call.call_id]
        assert [asked for asked, _messages in llm.asked] == [call.call_id]
        voice = agent.voice(agent.language, TELEPHONE)
        assert set(tts.spoken) == {(call.call_id, voice)}
        assert {row.data["provider"] for row in call.rows_of("provider.used")} == {agent.name}
        assert call.rows[0].data["agent"]["name"] == agent.name
        assert call.rows[0].data["language"] == agent.language


async def test_agents_that_choose_the_same_share_its_clients() -> None:
    registry = vendors("toy")

    assert registry.stt(SttOptions("toy-ear-1"), TELEPHONE) is registry.stt(SttOptions("toy-ear-1"), TELEPHONE)
    assert registry.llm(LlmOptions("toy-mind-1")) is registry.llm(LlmOptions("toy-mind-1"))
    assert registry.tts(TtsOptions("toy-voice-1")) is not registry.tts(TtsOptions("toy-voice-2"))
    assert registry.stt(SttOptions("toy-ear-1"), TELEPHONE) is not registry.stt(
        SttOptions("toy-ear-1"), AudioFormat("pcm_s16le", 16000)
    )


async def test_every_client_is_warmed_up_asked_for_its_health_and_closed() -> None:
    registry = vendors("toy", "red")
    made = [registry.llm(LlmOptions("toy-mind-1")), registry.llm(LlmOptions("red-mind-1"))]
    spoken = registry.tts(TtsOptions("red-voice-1"))

    await registry.warm_up_llm()
    await registry.warm_up_tts()
    assert [cast(ToyLLM, client).warm_ups for client in (*made, spoken)] == [1, 1, 1]
    assert registry.providers == ["toy", "red"]
    assert registry.kinds("red") == ["llm", "tts"]
    assert (await registry.health_check("red")).name == "red"
    await registry.aclose()
    assert not any(cast(ToyLLM, client).is_open for client in (*made, spoken))


async def test_clients_that_no_agent_asks_for_any_more_are_closed_when_their_last_call_ends() -> None:
    registry = vendors("toy", "red")
    new = replace(TOY, llm=LlmOptions("red-mind"), tts=TtsOptions("red-voice"))
    async with desk(World(agent=TOY, vendors=registry)) as open_desk:

        async def look(agent: AgentProfile) -> None:
            in_use = [client for plan in open_desk.dispatcher.live_plans for client in plan.clients]
            await registry.close_unused(only(agent).vendor_options, in_use)

        one, other = await open_desk.rings("call-1"), await open_desk.rings("call-2")
        stt, old_llm, old_tts = one.body.plan.clients
        open_desk.dispatcher.admission.planner.agents = partial(only, new)
        third = await open_desk.rings("call-3")
        for call in (one, other):
            await look(new)
            assert cast(ToyLLM, old_llm).is_open
            assert cast(ToyTTS, old_tts).is_open
            assert registry.providers == ["toy", "red"]
            call.body.leave("caller_hangup")
            await call.body.wait_ended()
            await asyncio.sleep(0.1)
        await look(new)
        assert not cast(ToyLLM, old_llm).is_open
        assert not cast(ToyTTS, old_tts).is_open
        assert registry.kinds("toy") == ["stt"], "the new agent hears as the old one did"
        assert all(cast(ToyLLM, client).is_open for client in (stt, *third.body.plan.clients))

        again = registry.llm(TOY.llm)
        await look(TOY)
        assert again is not old_llm
        assert registry.llm(TOY.llm) is again
        assert registry.kinds("red") == ["llm", "tts"], "the third call still runs"


async def test_a_client_for_the_work_after_a_call_is_closed_only_when_that_work_is_over() -> None:
    registry = vendors("toy", "red")
    named = LlmOptions("red-mind", vendor="red-think")
    generator = cast(ToyLLM, registry.generator(LlmOptions("red-mind")))

    await asyncio.sleep(400)
    await registry.close_unused({named}, [])
    assert generator.is_open, "an agent has that model, whatever entry it names"

    assert registry.generator(LlmOptions("red-mind")) is generator
    await registry.close_unused({TOY.llm}, [])
    assert generator.is_open, "it may be at work"

    await asyncio.sleep(400)
    await registry.close_unused({TOY.llm}, [])
    assert not generator.is_open


async def test_a_client_in_the_chain_of_another_agent_stays_and_one_that_cannot_be_closed_keeps_no_other_open() -> None:
    settings = load_settings(None).model_copy(update={"llm_fallbacks": ("red-mind",), "tts_fallbacks": ("none",)})
    registry = VendorRegistry(ClientSetup(settings), [*toy.entries("toy"), *toy.entries("red")])
    chained, alone = registry.llm(LlmOptions("toy-mind")), registry.llm(LlmOptions("red-mind"))
    await registry.close_unused({LlmOptions("toy-mind")}, [])
    assert cast(ToyLLM, alone).is_open, "it is a fallback of the other"

    async def broken() -> None:
        raise OSError("the network is gone")

    first = cast(FallbackModel, chained).first
    first.aclose = broken  # type: ignore[method-assign]  # the fault
    with pytest.raises(OSError, match="gone"):
        await registry.close_unused(set(), [])
    assert not cast(ToyLLM, alone).is_open
    assert registry.providers == []


@pytest.mark.parametrize(
    ("agent", "audio_format", "problem"),
    [
        (replace(TOY, stt=SttOptions("toy-ear-1", "de")), TELEPHONE, "does not know de"),
        (TOY, AudioFormat("mulaw", 8000), "takes no mulaw"),
        (replace(TOY, tools=(ScriptedTool().described,)), TELEPHONE, "takes no tools"),
        (replace(TOY, llm=LlmOptions("m", vendor="nobody-chat")), TELEPHONE, "nobody-chat"),
    ],
)
def test_a_plan_that_its_vendors_cannot_carry_out_is_refused(
    agent: AgentProfile, audio_format: AudioFormat, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        World(agent=agent, vendors=vendors("toy")).planner.plan(audio_format)


@pytest.mark.parametrize(
    ("options", "provider"),
    [
        (SttOptions("flux-general-multi"), "deepgram"),
        (SttOptions("nova-3"), "deepgram"),
        (SttOptions("ink-whisper", "ru"), "cartesia"),
        (SttOptions("flux-general-en", "en", vendor="deepgram-flux"), "deepgram"),
    ],
)
async def test_the_vendors_there_are_hear(options: SttOptions, provider: str) -> None:
    registry = vendors()
    client = registry.stt(options, TELEPHONE)
    assert (client.provider, client.model) == (provider, options.model)
    await registry.aclose()


async def test_the_entries_are_made_by_their_names() -> None:
    registry = vendors()
    for name, model, provider in (
        ("deepgram-flux", "flux-general-multi", "deepgram"),
        ("deepgram-nova", "nova-3", "deepgram"),
        ("cartesia-whisper", "ink-whisper", "cartesia"),
    ):
        assert registry.stt(SttOptions(model, vendor=name), TELEPHONE).provider == provider
    for name in ("openai-chat", "openai-responses"):
        assert registry.llm(LlmOptions("gpt-6-luna", vendor=name)).provider == "openai"
    for name, provider, has_word_times in (
        ("cartesia-websocket", "cartesia", True),
        ("cartesia-http", "cartesia", False),
        ("deepgram-aura", "deepgram", False),
        ("espeak", "espeak", False),
        ("phrases", "phrases", False),
    ):
        speaks = registry.tts(TtsOptions("sonic-3.5", vendor=name))
        assert (speaks.provider, speaks.capabilities.word_times) == (provider, has_word_times)
    assert [entry.name for entry in ENTRIES] == [
        "deepgram-flux", "deepgram-nova", "deepgram-aura", "openai-responses", "openai-chat", "openai-fallback",
        "cartesia-whisper", "cartesia-websocket", "cartesia-http", "espeak", "phrases",
    ]  # fmt: skip
    await registry.aclose()
