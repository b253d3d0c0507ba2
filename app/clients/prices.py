"""What a call costs the operator, in US dollars: tables of list prices, and the calculation.

The defaults are the vendors' public pay-as-you-go prices as of 2026-11-22. Contracts, volume and time change prices, so
the constructor of :class:`Prices` accepts other tables. The cost of an unknown model is ``None``, never zero.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from app.models import TokenUsage

_SNAPSHOT_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_FAST_TIERS = {"fast", "priority"}
_STANDARD_TIERS = {None, "auto", "default"}

_Price = TypeVar("_Price")


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """The price of a language model, in US dollars per million tokens."""

    input: float
    cached: float
    """Input tokens read from the prompt cache."""
    output: float
    fast_factor: float | None = None
    """The factor of the ``fast`` (``priority``) service tier on all three prices; None when unknown."""


@dataclass(frozen=True, slots=True)
class RecognitionPrice:
    """The price of speech recognition, in US dollars per minute of audio sent."""

    one_language: float
    multilingual: float
    """With ``language=multi``, or a model that detects the language itself."""


LLM_PRICES: Mapping[str, ModelPrice] = MappingProxyType(
    {
        "gpt-6-luna": ModelPrice(0.10, 0.01, 0.50, fast_factor=2.0),
        "gpt-6.1-terra": ModelPrice(1.00, 0.05, 5.00, fast_factor=2.0),
        "gpt-6-sol": ModelPrice(2.00, 0.20, 10.00, fast_factor=2.0),
        "gpt-6.1-sol": ModelPrice(2.00, 0.10, 10.00, fast_factor=2.0),
        "gpt-5.6-luna": ModelPrice(0.20, 0.02, 1.20, fast_factor=2.0),
        "gpt-5.4-mini": ModelPrice(0.75, 0.075, 4.50),
        "gpt-4.1-mini": ModelPrice(0.40, 0.10, 1.60),
        "gpt-4.1": ModelPrice(2.00, 0.50, 8.00),
        "gpt-4o": ModelPrice(2.50, 1.25, 10.00),
    }
)
"""OpenAI's model pages and the price map of litellm 1.109.1, both read on 2026-11-22."""

STT_PRICES: Mapping[str, RecognitionPrice] = MappingProxyType(
    {
        "nova-3": RecognitionPrice(one_language=0.0048, multilingual=0.0058),
        "flux-general-en": RecognitionPrice(one_language=0.0065, multilingual=0.0065),
        "flux-general-multi": RecognitionPrice(one_language=0.0078, multilingual=0.0078),
        "ink-whisper": RecognitionPrice(one_language=0.00234, multilingual=0.00234),
    }
)
"""Deepgram, streaming, pay as you go: deepgram.com/pricing of 2026-08-01 for Nova-3; for Flux a third party's list of
2026-06-07, with which an older page of Deepgram's documentation disagrees about the multilingual model. Cartesia bills
one credit a second of audio; see ``TTS_PRICES`` for the price of a credit."""

TTS_PRICES: Mapping[str, float] = MappingProxyType({"sonic": 39.0, "aura-2": 30.0, "aura": 15.0})
"""US dollars per million characters. Deepgram's Aura as the price map of litellm 1.109.1 lists it. Cartesia bills one
credit a character; a million credits of the Startup plan ($49 for 1.25 million a month) cost 39 dollars, as listed on
2026-06-21; other plans 37 to 50."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The price list for calls; each table can be replaced.

    A dated snapshot costs the same as its model (``gpt-6-luna-2026-09-22``). Speech models also match by their leading
    parts (``sonic-3.5-2026-05-04``, ``sonic-3.5``, ``sonic``). Language models do not, because ``gpt-4o-mini`` and
    ``gpt-4o`` have different prices.
    """

    llm: Mapping[str, ModelPrice] = field(default_factory=lambda: LLM_PRICES)
    stt: Mapping[str, RecognitionPrice] = field(default_factory=lambda: STT_PRICES)
    tts: Mapping[str, float] = field(default_factory=lambda: TTS_PRICES)

    def llm_cost(self, model: str, usage: TokenUsage, *, service_tier: str | None = None) -> float | None:
        """The price of the tokens. Writes to the prompt cache, which OpenAI bills at 1.25 times the input price since
        GPT-5.6, count as plain input, because the usage does not list them separately."""
        price = self.llm.get(_SNAPSHOT_DATE.sub("", model))
        factor = _tier_factor(price, service_tier) if price else None
        if price is None or factor is None:
            return None
        fresh = usage.prompt - usage.cached
        dollars = fresh * price.input + usage.cached * price.cached + usage.completion * price.output
        return dollars * factor / 1_000_000

    def stt_cost(self, model: str, language: str | None, seconds: float) -> float | None:
        """The price of this many seconds of audio sent; ``language`` is the stream's, such as ``multi``."""
        price = _by_leading_parts(self.stt, model)
        if price is None:
            return None
        return (price.multilingual if language == "multi" else price.one_language) * seconds / 60

    def tts_cost(self, model: str, characters: int) -> float | None:
        """The price of this many characters sent, including those of cancelled utterances."""
        price = _by_leading_parts(self.tts, model)
        return None if price is None else price * characters / 1_000_000


DEFAULT_PRICES = Prices()
"""The list prices above."""


def _tier_factor(price: ModelPrice, service_tier: str | None) -> float | None:
    if service_tier in _STANDARD_TIERS:
        return 1.0
    return price.fast_factor if service_tier in _FAST_TIERS else None


def _by_leading_parts(table: Mapping[str, _Price], name: str) -> _Price | None:
    """The entry for the name, or for the longest sequence of its leading parts that has one."""
    while name and name not in table:
        name = name.rpartition("-")[0]
    return table.get(name)
