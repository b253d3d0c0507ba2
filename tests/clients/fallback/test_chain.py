"""Which links of a chain are asked first, and when a link that is down is probed."""

import pytest

from app.backoff import Backoff
from app.clients.fallback.chain import Chain, Link
from app.errors import (
    ContentRejected,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
    Throttled,
)

LOST = ProviderUnavailable("vendor", "the line was cut")


def chain_of(*names: str) -> Chain[str]:
    return Chain([Link(name, name) for name in names], backoff=Backoff(first_seconds=1.0, max_seconds=4.0))


def names(chain: Chain[str]) -> str:
    return "".join(link.name for link in chain.order())


def test_the_order_is_that_of_choice_while_all_are_well() -> None:
    assert names(chain_of("a", "b", "c")) == "abc"


def test_one_failure_is_made_good_by_the_same_link_and_two_put_it_at_the_end() -> None:
    chain = chain_of("a", "b", "c")
    assert not chain.failed(chain.first, LOST, began_at=0.0, now=1.0)
    assert names(chain) == "abc"
    assert chain.failed(chain.first, LOST, began_at=1.0, now=2.0)
    assert names(chain) == "bca"


def test_many_who_fail_at_once_are_one_failure() -> None:
    chain = chain_of("a", "b")
    for _call in range(10):
        chain.failed(chain.first, LOST, began_at=0.0, now=1.0)
    assert names(chain) == "ab"


def test_an_answer_that_came_to_its_end_forgets_the_failure_before_it() -> None:
    chain = chain_of("a", "b")
    chain.failed(chain.first, LOST, began_at=0.0, now=1.0)
    chain.served(chain.first)
    chain.failed(chain.first, LOST, began_at=2.0, now=3.0)
    assert names(chain) == "ab"


@pytest.mark.parametrize(
    "error",
    [
        ProviderRejected("vendor", "no credit", status=402),
        ProviderRateLimited("vendor", "429", retry_after=20.0),
    ],
)
def test_what_no_repetition_mends_puts_a_link_down_at_once(error: ProviderError) -> None:
    chain = chain_of("a", "b")
    assert chain.failed(chain.first, error, began_at=0.0, now=1.0)
    assert names(chain) == "ba"


@pytest.mark.parametrize(
    "error",
    [
        ContentRejected("vendor", "no such text", status=400),
        ProviderRateLimited("vendor", "429", retry_after=0.3),
        Throttled("vendor", "not sent", retry_after=20.0),
    ],
)
def test_a_text_that_is_refused_or_a_short_wait_leaves_it_where_it_is(error: ProviderError) -> None:
    chain = chain_of("a", "b")
    assert not chain.failed(chain.first, error, began_at=0.0, now=1.0)
    assert names(chain) == "ab"


def test_only_a_probe_calls_a_link_well_again() -> None:
    chain = chain_of("a", "b")
    for now in (1.0, 2.0):
        chain.failed(chain.first, LOST, began_at=now, now=now)
    chain.served(chain.first)
    assert names(chain) == "ba"
    assert chain.due(2.9) == []
    assert chain.due(3.0) == [chain.first]
    chain.probed(chain.first, is_well=True, now=3.0)
    assert names(chain) == "ab"
    assert chain.due(100.0) == []


def test_probes_become_rarer_while_it_stays_down() -> None:
    chain = chain_of("a", "b")
    for now in (1.0, 2.0):
        chain.failed(chain.first, LOST, began_at=now, now=now)
    probed = []
    for tenth in range(20, 200):
        now = tenth / 10
        if chain.due(now):
            probed.append(now)
            chain.probed(chain.first, is_well=False, now=now)
    assert probed == [3.0, 5.0, 9.0, 13.0, 17.0]


def test_a_wait_that_the_vendor_asks_for_is_kept() -> None:
    chain = chain_of("a", "b")
    chain.failed(chain.first, ProviderRateLimited("vendor", "429", retry_after=20.0), began_at=0.0, now=1.0)
    assert chain.due(20.9) == []
    assert chain.due(21.0) == [chain.first]
