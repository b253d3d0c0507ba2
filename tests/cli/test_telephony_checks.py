"""What the doctor makes of LiveKit's trunks and rules."""

from dataclasses import replace

import pytest

from app.cli.checks.telephony import judge
from app.clients.livekit.trunks import DispatchRule, InboundTrunk, SipObjects
from tests.cli.test_setup import DONE, SETTINGS, without
from tests.test_settings import loaded

RULE = DONE.rules[0]
TRUNK = DONE.inbound[0]


def judged(found: SipObjects, settings: dict[str, str] | None = None) -> list[tuple[str, str]]:
    return [(finding.about, finding.grade) for finding in judge(found, loaded(settings or SETTINGS))]


def said(found: SipObjects) -> str:
    """Of what is wrong, or to beware of."""
    return " ".join(each.said for each in judge(found, loaded(SETTINGS)) if each.grade in ("wrong", "warning"))


def test_what_setup_made_is_good() -> None:
    assert judged(DONE) == [("inbound trunk", "ok"), ("dispatch rule", "ok"), ("outbound trunk", "ok")]


def test_what_is_missing_is_reported() -> None:
    assert judged(SipObjects()) == [("inbound trunk", "wrong")]
    assert judged(replace(DONE, rules=(), outbound=())) == [
        ("inbound trunk", "ok"),
        ("dispatch rule", "wrong"),
        ("outbound trunk", "wrong"),
    ]
    assert ("outbound trunk", "not checked") in judged(DONE, without("SIP_SERVER"))
    assert judged(DONE, without("SIP_NUMBER")) == [("trunks", "not checked")]


def test_a_trunk_that_everybody_may_call_by_is_wrong() -> None:
    found = replace(DONE, inbound=(replace(TRUNK, allowed_addresses=()),))
    assert ("inbound trunk", "wrong") in judged(found)
    assert "anyone on the internet can call at your cost" in said(found)
    guarded = replace(DONE, inbound=(replace(TRUNK, asks_password=True),))
    assert ("inbound trunk", "ok") in judged(guarded)


def test_an_open_trunk_of_somebody_else_is_reported() -> None:
    assert "sales is open" in said(replace(DONE, inbound=(TRUNK, InboundTrunk("sales", ("+7499",), ()))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "direct"}, "callers share a room"),
        ({"kind": "fixed"}, "end each other's calls"),
        ({"needs_pin": True}, "asks callers for a PIN"),
        ({"room_prefix": "sales"}, "makes rooms sales_"),
        ({"room_prefix": "callcenter"}, "makes rooms callcenter_"),
        ({"trunk_ids": ("ST_other",)}, "no rule gives our callers a room"),
        ({"called_numbers": ("+7499",)}, "no rule gives our callers a room"),
    ],
)
def test_a_rule_that_does_not_bring_callers_to_the_agent_is_wrong(change: dict[str, object], words: str) -> None:
    assert words in said(replace(DONE, rules=(replace(RULE, **change),)))  # type: ignore[arg-type]  # fields by name


def test_a_rule_for_all_trunks_counts_when_there_is_none_for_ours() -> None:
    for_all = DispatchRule("all", (), "callee", "lobby")
    assert said(replace(DONE, rules=(RULE, for_all))) == ""
    assert "all is of kind callee" in said(replace(DONE, rules=(for_all,)))


def test_what_differs_from_the_settings_is_reported() -> None:
    found = replace(DONE, inbound=(replace(TRUNK, allowed_addresses=("203.0.113.99/32",)),))
    assert "differs from the settings: inbound trunk" in said(found)


def test_no_whole_number_is_shown() -> None:
    assert "74950000000" not in str(judge(SipObjects(), loaded(SETTINGS)) + judge(DONE, loaded(SETTINGS)))
