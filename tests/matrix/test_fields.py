"""What a reader reads, its type describes: so every field there is gets its cells of the matrix."""

from types import ModuleType

import pytest

from app.clients.cartesia import messages as cartesia_messages
from app.clients.cartesia import stt_messages
from app.clients.deepgram import flux_messages, nova_messages, spoken
from media.dialects import egress, native, twilio
from tests.matrix.spoiling import fields_in, fields_of, names_read
from tests.media.dialects.test_laws import MESSAGES, NATIVE_START, TWILIO_START


@pytest.mark.parametrize(
    ("readers", "tables"),
    [
        ((cartesia_messages,), (cartesia_messages.MESSAGES,)),
        ((stt_messages,), (stt_messages.MESSAGES,)),
        ((flux_messages, nova_messages, spoken), (flux_messages.MESSAGES, nova_messages.MESSAGES)),
    ],
    ids=["cartesia", "cartesia-stt", "deepgram"],
)
def test_every_field_that_is_read_is_described(
    readers: tuple[ModuleType, ...], tables: tuple[dict[str, type], ...]
) -> None:
    described = {field[-1] for table in tables for kind in table.values() for field in fields_of(kind)}
    read = names_read(*readers)
    assert read
    assert read - described == set()


def test_every_field_of_a_medias_messages_is_tried_wrong() -> None:
    messages = [NATIVE_START, TWILIO_START, *(each for kind in MESSAGES.values() for each in kind)]
    tried = {name for message in messages for field in fields_in(message) for name in field}
    read = names_read(native, twilio, egress)
    assert {"customParameters", "sample_rate", "muted"} <= read
    assert read - tried == {"stream_sid"}, "which is a claim that was read"
