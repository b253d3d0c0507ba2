"""The failures of a call, in the words of their rows and no others."""

import pytest

from app.conversation import events as ev
from app.errors import ProviderTimeout
from app.journal.failures import failure_of, failure_text
from app.models import JournalRow
from tests.journal.test_record import record_of

OLD = {"provider": "openai", "stage": "think", "code": "provider_timeout", "final": True}


def text_of(event: ev.ProviderFailed) -> str:
    [failure] = record_of((5.0, event)).failures
    return failure_text(failure)


def test_a_failure_has_its_moment_reason_and_request() -> None:
    error = ProviderTimeout("openai", "no answer before the deadline", request_id="req_1")
    event = ev.ProviderFailed.of(error, "think", final=False, turn=2, speech=3)
    [failure] = record_of((5.0, event)).failures

    assert (failure.at, failure.number) == (3.0, 2)
    assert (failure.reason, failure.request_id) == ("no answer before the deadline", "req_1")
    assert failure_text(failure) == (
        "openai cannot think: provider_timeout (no answer before the deadline, request req_1); not given up"
    )


@pytest.mark.parametrize("final", [True, False])
def test_nothing_is_said_to_be_tried_again(final: bool) -> None:
    tool = ev.ProviderFailed("crm", "act", "provider_timeout", final, 2, 2, reason="no answer")
    speech = ev.ProviderFailed("cartesia", "speak", "provider_timeout", final, 2, 2)

    assert text_of(tool) == "crm cannot act: provider_timeout (no answer)"
    assert text_of(speech) == f"cartesia cannot speak: provider_timeout; {'given up' if final else 'not given up'}"


def test_an_answer_that_ended_too_early_says_why() -> None:
    cut = ev.ProviderFailed("openai", "think", "length", True, 2, 2, answer="cut", request_id="req_1")
    refused = ev.ProviderFailed("openai", "think", "content_rejected", True, 2, 2, answer="refused", reason="flagged")

    assert text_of(cut) == "openai cut the answer short: length (request req_1)"
    assert text_of(refused) == "openai refused what was said, so the turn leaves the prompt: content_rejected (flagged)"


def test_a_row_of_an_older_version_has_neither_reason_nor_request() -> None:
    failure = failure_of(JournalRow(1, "", 5.0, "provider.failed", 2, 1, OLD), 3.0)

    assert (failure.reason, failure.request_id, failure.answer) == (None, None, "lost")
    assert failure_text(failure) == "openai cannot think: provider_timeout; given up"
