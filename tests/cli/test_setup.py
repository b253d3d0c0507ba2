"""What ``voice-agent setup`` decides, without a server; tests/room has it work on a real one."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.telephony_plan import check_wishes, plan, wishes
from app.clients.livekit.trunks import DispatchRule, InboundTrunk, OutboundTrunk, SipObjects
from app.errors import SettingsError
from tests.cli.test_commands import run
from tests.test_settings import loaded

LIVEKIT = {
    "LIVEKIT_URL": "wss://livekit.example.org",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a-livekit-secret-of-enough-characters",
}
CARRIER = {
    "SIP_NUMBER": "+7 (495) 000-00-00",
    "SIP_ALLOWED_ADDRESSES": "203.0.113.7, 198.51.100.0/24",
    "SIP_SERVER": "sip.example.org:5070",
    "SIP_USERNAME": "883140000000001",
    "SIP_PASSWORD": "a-carriers-password",
}
SETTINGS = {**LIVEKIT, **CARRIER}
WANTED = wishes(loaded(SETTINGS))
DONE = SipObjects(
    (replace(WANTED.inbound[0], trunk_id="ST_in"),),
    (replace(WANTED.rules[0], trunk_ids=("ST_in",), rule_id="SDR_in"),),
    (replace(WANTED.outbound[0], trunk_id="ST_out"),),
)


def refused(settings: dict[str, str], *, force: bool = False) -> list[str]:
    """The variables that are complained about."""
    try:
        check_wishes(loaded(settings), force=force)
    except SettingsError as error:
        return [problem.partition(":")[0] for problem in error.problems]
    return []


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in SETTINGS.items() if name not in names}


def test_settings_become_a_trunk_in_a_rule_and_a_trunk_out() -> None:
    assert WANTED.inbound == (InboundTrunk("call-in", ("+74950000000",), ("203.0.113.7/32", "198.51.100.0/24")),)
    (rule,) = WANTED.rules
    assert (rule.name, rule.kind, rule.room_prefix, rule.needs_pin) == ("call-in", "individual", "call", False)
    assert 0 < rule.room_departure_seconds < rule.room_empty_seconds <= 60
    assert WANTED.outbound == (
        OutboundTrunk(
            "call-out",
            "sip.example.org:5070",
            ("+74950000000",),
            "883140000000001",
            "a-carriers-password",
            "sip.example.org",
        ),
    )


def test_without_a_server_of_the_carrier_there_is_no_calling_out() -> None:
    assert wishes(loaded(without("SIP_SERVER"))).outbound == ()


def test_everything_that_is_missing_is_named_at_once() -> None:
    assert refused({}) == ["LIVEKIT_URL", "SIP_NUMBER", "SIP_ALLOWED_ADDRESSES"]
    assert refused(without("SIP_PASSWORD")) == ["SIP_USERNAME, SIP_PASSWORD"]
    assert refused(SETTINGS) == []


@pytest.mark.parametrize("addresses", ["", "0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1"])
def test_a_trunk_that_everybody_may_call_by_is_refused_unless_forced(addresses: str) -> None:
    opened = {**SETTINGS, "SIP_ALLOWED_ADDRESSES": addresses}
    assert refused(opened) == ["SIP_ALLOWED_ADDRESSES"]
    assert refused(opened, force=True) == []


def test_on_an_empty_server_everything_is_made() -> None:
    todo = plan(WANTED, SipObjects())
    assert todo.outbound
    assert [change.found for change in (todo.inbound, todo.rule, todo.outbound)] == [None, None, None]
    assert todo.inbound.is_needed
    assert todo.rule.is_needed
    assert todo.outbound.is_needed
    assert todo.obstacles == ()


def test_what_has_been_done_is_not_done_again() -> None:
    todo = plan(WANTED, DONE)
    assert todo.outbound
    assert not any(change.is_needed for change in (todo.inbound, todo.rule, todo.outbound))
    assert todo.obstacles == ()


def test_what_differs_is_changed_under_its_id() -> None:
    found = replace(
        DONE,
        inbound=(replace(DONE.inbound[0], allowed_addresses=("203.0.113.99",), asks_password=True),),
        rules=(replace(DONE.rules[0], kind="direct", room_prefix="lobby", needs_pin=True),),
    )
    todo = plan(WANTED, found)
    assert (todo.inbound.wanted.trunk_id, todo.rule.wanted.rule_id) == ("ST_in", "SDR_in")
    assert todo.inbound.differences == ("allowed_addresses: 203.0.113.99 -> 203.0.113.7/32, 198.51.100.0/24",)
    assert todo.rule.differences == (
        "kind: direct -> individual",
        "room_prefix: lobby -> call",
        "needs_pin: True -> nothing",
    )
    assert todo.inbound.wanted.asks_password, "a password that somebody gave the trunk stays"
    assert todo.outbound
    assert not todo.outbound.is_needed


def test_a_rule_of_another_trunk_is_brought_to_ours() -> None:
    todo = plan(WANTED, replace(DONE, rules=(replace(DONE.rules[0], trunk_ids=("ST_old",)),)))
    assert todo.rule.differences == ("trunk_ids: ST_old -> ST_in",)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (SipObjects((InboundTrunk("other", ("74950000000",), (), trunk_id="ST_2"),)), "other (ST_2) has the number"),
        (SipObjects(inbound=(replace(WANTED.inbound[0], trunk_id="ST_2"),)), "2 inbound trunks called call-in"),
        (SipObjects(outbound=WANTED.outbound), "2 outbound trunks called call-out"),
        (
            SipObjects(rules=(DispatchRule("mine", ("ST_in",), "individual", "x", rule_id="SDR_2"),)),
            "mine (SDR_2) is for the same trunk",
        ),
        (SipObjects(rules=(replace(WANTED.rules[0], rule_id="SDR_2"),)), "2 dispatch rules called call-in"),
    ],
)  # fmt: skip
def test_what_livekit_would_refuse_is_reported_before(more: SipObjects, said: str) -> None:
    found = SipObjects(DONE.inbound + more.inbound, DONE.rules + more.rules, DONE.outbound + more.outbound)
    (obstacle,) = plan(WANTED, found).obstacles
    assert said in obstacle


def test_trunks_and_rules_of_others_are_left_alone() -> None:
    others = SipObjects(
        (InboundTrunk("sales", ("+74950000001",), ()), InboundTrunk("rest", (), ("192.0.2.1",))),
        (DispatchRule("rest", (), "direct", "lobby"),),
        (OutboundTrunk("sales", "sip.example.net", ()),),
    )
    found = SipObjects(DONE.inbound + others.inbound, DONE.rules + others.rules, DONE.outbound + others.outbound)
    assert plan(WANTED, found) == plan(WANTED, DONE)


def test_no_password_and_no_whole_number_is_shown() -> None:
    todo = plan(WANTED, SipObjects(outbound=(replace(DONE.outbound[0], password="another-password"),)))
    assert todo.outbound
    shown = repr(todo) + str([change.differences for change in (todo.inbound, todo.rule, todo.outbound)])
    assert todo.outbound.differences == ("password: differs",)
    assert "password" not in shown.replace("asks_password", "").replace("password: differs", "")
    assert "74950000000" not in str(todo.inbound.differences)


def test_setup_refuses_in_plain_lines_before_it_asks_livekit(tmp_path: Path) -> None:
    finished = run(tmp_path, "setup", **{**SETTINGS, "SIP_ALLOWED_ADDRESSES": ""})
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "SIP_ALLOWED_ADDRESSES: lets the whole internet call" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_an_unreachable_livekit_is_reported_in_plain_lines(tmp_path: Path) -> None:
    finished = run(tmp_path, "setup", **{**SETTINGS, "LIVEKIT_URL": "ws://127.0.0.1:1"})
    assert finished.returncode == 1
    assert "LiveKit did not make the changes (livekit: cannot be reached" in finished.stdout
    assert (finished.stderr, "a-livekit-secret" in finished.stdout) == ("", False)
