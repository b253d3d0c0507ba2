"""An answer is written by whoever begins first, and finished by another when it breaks off."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from app.clients.entry import LlmSession
from app.clients.fallback.chain import Link
from app.clients.fallback.model import FallbackModel, WholeWords
from app.clients.fallback.race import FallbackFailed
from app.errors import ContentRejected, ProviderError, ProviderRateLimited, ProviderTimeout, ProviderUnavailable
from app.models import Message, TokenUsage
from app.ports.streams import (
    ModelBegun,
    ModelEvent,
    ModelFailed,
    ModelFinished,
    ModelUsed,
    TextDelta,
    ToolCall,
    ToolSpec,
)
from app.ports.vendors import LlmCapabilities

VIRTUAL_TIME = True

ASKED = [Message("system", "Help."), Message("user", "When do you open?")]
DOWN = ProviderUnavailable("one", "nobody answers")
STALLED = ProviderTimeout("one", "no next token before the deadline")


@dataclass
class Model:
    """Writes word by word after a while, and then fails if it is told to."""

    provider: str
    text: str = "We open at nine."
    first_token: float = 0.4
    fails: ProviderError | None = None
    fails_after: int = 0
    """So many pieces."""
    stalls: float = 0.0
    """Seconds before it fails, in the middle of its answer."""
    calls: bool = False
    is_down: bool = False
    """Whether its breaker says so."""
    asked: list[list[Message]] = field(default_factory=list)
    open: int = 0
    model: str = "m"
    loading: float = 0.0
    """Seconds until its library is loaded."""

    @property
    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities(tools=True)

    async def loaded(self) -> None:
        await asyncio.sleep(self.loading)

    async def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(messages)
        self.open += 1
        try:
            if self.fails is not None and not self.fails_after:
                await asyncio.sleep(0.01)
                raise self.fails
            await asyncio.sleep(self.first_token)
            pieces = [self.text[start : start + 3] for start in range(0, len(self.text), 3)]
            for number, piece in enumerate(pieces):
                if self.fails is not None and number == self.fails_after:
                    await asyncio.sleep(self.stalls)
                    raise self.fails
                yield TextDelta(piece)
                await asyncio.sleep(0.01)
            if self.calls:
                yield ToolCall("1", "end_call", "{}")
                if self.fails is not None:
                    raise self.fails
            yield ModelFinished("stop", TokenUsage(10, 0, 5, 0.5), "r", self.provider, self.model)
        finally:
            self.open -= 1

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        return TokenUsage(len(messages), 0, 0, 0.25)


def chain_of(*models: Model) -> FallbackModel:
    return FallbackModel([Link(model.provider, cast(LlmSession, model)) for model in models])


async def events_of(chain: FallbackModel) -> list[ModelEvent]:
    return [event async for event in chain.stream_reply(ASKED, call_id="call-1")]


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def of(kind: type[Any], events: list[ModelEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_choice_answers_alone_while_it_is_well() -> None:
    one, two = Model("one"), Model("two")
    events = await events_of(chain_of(one, two))
    assert text_of(events) == one.text
    assert events[0] == ModelBegun("one", "m", "one")
    assert (two.asked, of(ModelFailed, events), of(ModelUsed, events)) == ([], [], [])


async def test_a_late_first_token_is_answered_by_a_second_request_and_both_are_paid_for() -> None:
    one, two = Model("one", first_token=1e6), Model("two", text="At nine.")
    began = now()
    events = await events_of(chain_of(one, two))
    assert text_of(events) == "At nine."
    assert now() - began < 0.9 + 0.4 + 0.2
    assert [error.error.provider for error in of(ModelFailed, events)] == ["one"]
    assert of(ModelUsed, events) == [ModelUsed("one", "m", TokenUsage(2, 0, 0, 0.25), way="one", served=False)]
    assert one.open == 0


async def test_a_library_that_loads_makes_no_model_late() -> None:
    one, two = Model("one", loading=3.0), Model("two")
    events = await events_of(chain_of(one, two))
    assert text_of(events) == one.text
    assert (two.asked, of(ModelFailed, events)) == ([], [])


async def test_a_model_that_is_only_late_may_still_be_first() -> None:
    one, two = Model("one", first_token=1.0), Model("two", first_token=0.5)
    events = await events_of(chain_of(one, two))
    assert of(ModelBegun, events) == [ModelBegun("one", "m", "one")]
    assert [used.way for used in of(ModelUsed, events)] == ["two"]


class Limited(Model):
    """Answers 429 so often, and wants a wait of 0.3 s each time."""

    refusals: int = 0

    async def stream_reply(self, *args: Any, **kwargs: Any) -> Any:
        if len(self.asked) < self.refusals:
            self.asked.append(args[0])
            raise ProviderRateLimited(self.provider, "429", retry_after=0.3)
        async for event in super().stream_reply(*args, **kwargs):
            yield event


def limited(provider: str, refusals: int) -> Limited:
    model = Limited(provider)
    model.refusals = refusals
    return model


async def test_models_that_all_want_a_short_wait_are_asked_again_after_it() -> None:
    one, two = limited("one", 3), limited("two", 9)
    began = now()
    events = await events_of(chain_of(one, two))
    assert text_of(events) == one.text
    assert 0.9 <= now() - began < 2.0
    assert [failed.error.provider for failed in of(ModelFailed, events)] == ["one", "two"], "each is told of once"


async def test_models_that_want_a_short_wait_for_ever_are_given_up() -> None:
    began = now()
    with pytest.raises(FallbackFailed) as caught:
        await events_of(chain_of(limited("one", 100), limited("two", 100)))
    assert (caught.value.provider, caught.value.code) == ("one", "provider_rate_limited")
    assert 2.5 < now() - began <= 3.0


async def test_nobody_is_asked_again_who_wants_a_long_wait_or_is_down() -> None:
    one = Model("one", fails=ProviderRateLimited("one", "429", retry_after=20.0))
    two = Model("two", fails=DOWN)
    with pytest.raises(FallbackFailed):
        await events_of(chain_of(one, two))
    assert (len(one.asked), len(two.asked)) == (1, 1)
    assert now() < 0.1


async def test_a_stalled_answer_is_finished_by_another_from_the_last_whole_word() -> None:
    one = Model("one", text="We open at nine every day.", fails=STALLED, fails_after=4)
    two = Model("two", text="nine every day.")
    events = await events_of(chain_of(one, one_more(one), two))
    assert text_of(events) == "We open at nine every day."
    assert of(ModelBegun, events)[-1].provider == "two"
    prompt = two.asked[0]
    assert prompt[:2] == ASKED
    assert (prompt[2].role, prompt[2].content) == ("assistant", "We open at ")
    assert prompt[3].role == "system"
    assert [used.served for used in of(ModelUsed, events)] == [True]


def one_more(model: Model) -> Model:
    return Model("again", text=model.text, fails=DOWN)


async def test_the_words_of_two_models_are_kept_apart() -> None:
    one = Model("one", text="We open, and so on", fails=STALLED, fails_after=3)
    two = Model("two", text="at nine.")
    assert text_of(await events_of(chain_of(one, two))) == "We open, at nine."


async def test_an_answer_that_has_called_a_tool_is_not_continued() -> None:
    one, two = Model("one", calls=True, fails=STALLED, fails_after=99), Model("two")
    with pytest.raises(ProviderTimeout):
        await events_of(chain_of(one, two))
    assert two.asked == []


async def test_a_refusal_of_the_content_is_the_answer_and_nobody_else_is_asked() -> None:
    one = Model("one", fails=ContentRejected("one", "refused", status=400))
    two = Model("two")
    with pytest.raises(ContentRejected):
        await events_of(chain_of(one, two))
    assert two.asked == []


async def test_all_that_hang_are_given_up_by_their_own_deadlines_and_that_is_final() -> None:
    models = [Model(name, fails=ProviderTimeout(name, "no first token")) for name in ("one", "two", "three")]
    with pytest.raises(FallbackFailed) as failed:
        await events_of(chain_of(*models))
    assert (failed.value.provider, failed.value.retryable) == ("one", False)


async def test_who_was_overtaken_is_asked_again_only_when_a_probe_finds_it_well() -> None:
    one, two = Model("one", first_token=1e6), Model("two")
    chain = chain_of(one, two)
    await events_of(chain)
    began = now()
    await events_of(chain)
    assert now() - began < 0.8
    assert len(one.asked) == 1

    await asyncio.sleep(1.1)
    await chain.probe()
    await events_of(chain)
    assert [len(messages) for messages in one.asked] == [2, 1], "the probe, and nobody else"
    one.first_token = 0.3
    await asyncio.sleep(3)
    assert [charge.cost for charge in await chain.probe()] == [0.5]
    assert of(ModelBegun, await events_of(chain))[0].provider == "one"


async def test_a_caller_who_interrupts_leaves_no_request_open() -> None:
    one, two = Model("one", first_token=1e6), Model("two", first_token=1e6)
    chain = chain_of(one, two)
    reply = asyncio.get_running_loop().create_task(events_of(chain), name="reply")
    await asyncio.sleep(1.0)
    assert (one.open, two.open) == (1, 1)
    reply.cancel()
    await asyncio.wait([reply])
    assert (one.open, two.open) == (0, 0)


def test_a_word_is_held_back_until_it_is_whole() -> None:
    words = WholeWords()
    assert [words.feed(text) for text in ("We op", "en at", " nine.", " Ye", "s")] == [
        "We ",
        "open ",
        "at nine.",
        " ",
        "",
    ]
    assert words.rest() == "Yes"
    assert words.rest() == ""
