"""The manners of the agent go into the journal and come back from it."""

import json
from dataclasses import replace
from typing import Any

from app.conversation.policy import ENGLISH, RUSSIAN, CallPolicy


def through_the_journal(policy: CallPolicy, **changes: Any) -> CallPolicy:
    return CallPolicy.from_dict(json.loads(json.dumps({**policy.to_dict(), **changes})))


def test_a_policy_comes_back_as_it_was() -> None:
    policy = replace(CallPolicy(), idle_prompts=5, min_confidence=0.5, lines={"en": replace(ENGLISH, greeting="Hi!")})

    assert through_the_journal(policy) == policy


def test_what_another_version_knows_is_left_out() -> None:
    lines = {"en": {**CallPolicy().to_dict()["lines"]["en"], "farewell": "So long!"}}

    assert through_the_journal(CallPolicy(lines={"en": ENGLISH}), patience=3, lines=lines) == CallPolicy(
        lines={"en": ENGLISH}
    )


def test_what_another_version_did_not_know_has_its_default() -> None:
    old = CallPolicy.from_dict(
        {"idle_prompts": 1, "lines": {"ru": {"greeting": "Алло!"}, "de": {"greeting": "Hallo!"}}}
    )

    assert old == replace(
        CallPolicy(),
        idle_prompts=1,
        lines={"ru": replace(RUSSIAN, greeting="Алло!"), "de": replace(ENGLISH, greeting="Hallo!")},
    )


def test_what_was_called_otherwise_in_an_older_version_is_read() -> None:
    old = CallPolicy.from_dict({"noise_seconds": 2.5, "ears_seconds": 4.0, "ears_give_up_seconds": 8.0})

    assert old == replace(CallPolicy(), false_interruption_timeout=2.5, stt_outage_seconds=4.0, stt_give_up_seconds=8.0)


def test_an_empty_policy_is_the_usual_one() -> None:
    assert CallPolicy.from_dict({}) == CallPolicy()


def test_the_usual_manners_leave_nobody_in_silence() -> None:
    policy = CallPolicy()

    assert policy.idle_end_seconds + policy.line_start_seconds <= 35
    assert policy.stall_seconds + policy.idle_prompt_seconds + policy.line_start_seconds <= 35
    assert policy.filler_lead_seconds < policy.max_response_seconds < policy.reply_seconds
    assert policy.max_response_seconds == 1.5


def test_the_languages_say_the_same_things() -> None:
    assert len(RUSSIAN.idle) == len(ENGLISH.idle) >= CallPolicy().idle_prompts
    assert len(RUSSIAN.fillers) == len(ENGLISH.fillers)
