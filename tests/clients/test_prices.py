import pytest

from app.clients.prices import DEFAULT_PRICES, ModelPrice, Prices
from app.models import TokenUsage

USAGE = TokenUsage(prompt=1_000_000, cached=400_000, completion=100_000)


def test_cached_tokens_are_cheaper_than_fresh_ones() -> None:
    assert DEFAULT_PRICES.llm_cost("gpt-6-luna", USAGE) == pytest.approx(0.6 * 0.10 + 0.4 * 0.01 + 0.1 * 0.50)


@pytest.mark.parametrize(("tier", "factor"), [(None, 1), ("auto", 1), ("default", 1), ("priority", 2), ("fast", 2)])
def test_the_fast_tier_costs_double(tier: str | None, factor: int) -> None:
    standard = DEFAULT_PRICES.llm_cost("gpt-6-luna", USAGE)
    assert standard is not None
    assert DEFAULT_PRICES.llm_cost("gpt-6-luna", USAGE, service_tier=tier) == pytest.approx(factor * standard)


@pytest.mark.parametrize(("model", "tier"), [("gpt-6-luna", "flex"), ("gpt-4o", "priority"), ("our-own", None)])
def test_an_unknown_price_is_none_and_not_zero(model: str, tier: str | None) -> None:
    assert DEFAULT_PRICES.llm_cost(model, USAGE, service_tier=tier) is None


def test_a_dated_snapshot_costs_what_its_model_does_and_a_sibling_does_not() -> None:
    assert DEFAULT_PRICES.llm_cost("gpt-6-luna-2026-09-22", USAGE) == DEFAULT_PRICES.llm_cost("gpt-6-luna", USAGE)
    assert DEFAULT_PRICES.llm_cost("gpt-4o-mini", USAGE) is None


@pytest.mark.parametrize(
    ("model", "language", "per_minute"),
    [
        ("nova-3", "ru", 0.0048),
        ("nova-3", None, 0.0048),
        ("nova-3", "multi", 0.0058),
        ("nova-3-general", "multi", 0.0058),
        ("flux-general-en", "en", 0.0065),
        ("flux-general-multi", "ru", 0.0078),
    ],
)
def test_listening_is_billed_by_the_second(model: str, language: str | None, per_minute: float) -> None:
    assert DEFAULT_PRICES.stt_cost(model, language, 90) == pytest.approx(1.5 * per_minute)


@pytest.mark.parametrize("model", ["sonic", "sonic-3.5", "sonic-3.5-2026-05-04", "sonic-latest"])
def test_speaking_is_billed_by_the_character(model: str) -> None:
    assert DEFAULT_PRICES.tts_cost(model, 1000) == pytest.approx(0.039)


@pytest.mark.parametrize("model", ["", "-", "nova-2", "sonica", "flux"])
def test_unknown_speech_models_have_no_price(model: str) -> None:
    assert DEFAULT_PRICES.stt_cost(model, "ru", 60) is None
    assert DEFAULT_PRICES.tts_cost(model, 1000) is None


def test_a_table_can_be_replaced() -> None:
    prices = Prices(llm={"our-own": ModelPrice(0, 0, 0)})
    assert prices.llm_cost("our-own", USAGE) == 0
    assert prices.llm_cost("gpt-6-luna", USAGE) is None
