"""Trunks and rules as values: who may call, and which rule is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.livekit.trunks import DispatchRule, InboundTrunk, allows_everybody, is_our_room, outbound_room_name


@pytest.mark.parametrize(
    ("addresses", "everybody"),
    [
        ((), True),
        (("0.0.0.0/0",), True),
        (("203.0.113.7", "0.0.0.0/0"), True),
        (("0.0.0.0/1", "128.0.0.0/1"), True),
        (("203.0.113.7",), False),
        (("203.0.113.7/32", "198.51.100.0/24"), False),
        (("2001:db8::/32",), False),
        (("sip.example.org",), False),
    ],
)
def test_no_address_and_all_addresses_let_everybody_call(addresses: tuple[str, ...], everybody: bool) -> None:
    assert allows_everybody(addresses) is everybody
    assert InboundTrunk("in", ("+7495",), addresses).is_open_to_the_world is everybody
    assert not InboundTrunk("in", ("+7495",), addresses, asks_password=True).is_open_to_the_world


@pytest.mark.parametrize(
    ("numbers", "taken"), [(("+74950000000",), True), (("74950000000",), True), ((), True), (("+74950000001",), False)]
)
def test_a_trunk_takes_its_numbers_with_or_without_the_plus(numbers: tuple[str, ...], taken: bool) -> None:
    assert InboundTrunk("in", numbers, ()).takes("+74950000000") is taken


@pytest.mark.parametrize(
    ("trunk_ids", "called", "caught"),
    [
        ((), (), True),
        (("ST_1",), (), True),
        (("ST_2", "ST_1"), ("74950000000",), True),
        (("ST_2",), (), False),
        (("ST_1",), ("+74950000001",), False),
    ],
)
def test_a_rule_catches_calls_of_its_trunks_and_numbers(
    trunk_ids: tuple[str, ...], called: tuple[str, ...], caught: bool
) -> None:
    trunk = InboundTrunk("in", ("+74950000000",), (), trunk_id="ST_1")
    rule = DispatchRule("rule", trunk_ids, "individual", "call", called_numbers=called)
    assert rule.catches("+74950000000", trunk) is caught


names = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("call_+79990000001_Xy", True),
        ("call__Xy", True),
        ("call_out_call_0a1b", True),
        ("callcenter-7_x", False),
        ("callcenter_7", False),
        ("call-7", False),
        ("call", False),
        ("call_", False),
        ("Call_7", False),
        ("my_call_7", False),
        ("", False),
    ],
)
def test_a_room_is_ours_when_the_prefix_ends_at_its_separator(name: str, is_ours: bool) -> None:
    assert is_our_room(name, "call") is is_ours


@given(prefix=names, caller=names, random=names)
def test_every_room_that_our_rule_and_our_calls_make_is_ours(prefix: str, caller: str, random: str) -> None:
    assert is_our_room(f"{prefix}_{caller}_{random}", prefix)
    assert is_our_room(f"{prefix}__{random}", prefix)
    assert is_our_room(outbound_room_name(prefix, caller), prefix)


@given(prefix=names, more=names)
def test_a_longer_word_is_another_application_whatever_follows(prefix: str, more: str) -> None:
    if not more.startswith("_"):
        assert not is_our_room(prefix + more, prefix)
    assert not is_our_room(more + prefix, prefix) or (more + prefix).startswith(f"{prefix}_")
