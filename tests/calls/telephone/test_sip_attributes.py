import pytest

from app.calls.telephone.sip_attributes import call_context
from app.models import TelephoneCall


def test_a_call_has_the_numbers_the_trunk_and_the_headers_of_its_caller() -> None:
    attributes = {
        "sip.phoneNumber": "+7999",
        "sip.trunkPhoneNumber": "+7495",
        "sip.trunkID": "ST_1",
        "sip.h.x-account": "17",
    }
    call = call_context(TelephoneCall("call_1", "RM_1", "sip_1", {**attributes, "va.language": "en"}), "call_a")
    assert (call.call_id, call.caller_number, call.livekit_room) == ("call_a", "+7999", "call_1")
    assert call.metadata == {
        "called_number": "+7495",
        "trunk": "ST_1",
        "language_hint": "en",
        "sip_headers": {"x-account": "17"},
    }


@pytest.mark.parametrize("number", ["", "anonymous", "Anonymous", "\x00"])
def test_a_hidden_number_is_not_a_number(number: str) -> None:
    call = call_context(TelephoneCall("call_1", "RM_1", "sip_1", {"sip.phoneNumber": number}), "call_a")
    assert (call.caller_number, call.metadata) == (None, {})


def test_headers_are_few_short_and_printable() -> None:
    attributes = {f"sip.h.x-{number}": "я\x1b[2J\r\n" + "z" * 999 for number in range(99)}
    headers = call_context(TelephoneCall("call_1", "RM_1", "sip_1", attributes), "call_a").metadata["sip_headers"]
    assert isinstance(headers, dict)
    assert len(headers) == 50
    assert headers["x-0"].startswith("я[2Jz")
    assert len(headers["x-0"]) <= 256
