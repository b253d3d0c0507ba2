"""What a reader reads, its type describes: so every field there is gets its cells of the matrix."""

from types import ModuleType

import pytest

from app.clients.cartesia import messages as cartesia_messages
from app.clients.deepgram import flux_messages, nova_messages, spoken
from tests.matrix.spoiling import fields_of, names_read


@pytest.mark.parametrize(
    ("readers", "tables"),
    [
        ((cartesia_messages,), (cartesia_messages.MESSAGES,)),
        ((flux_messages, nova_messages, spoken), (flux_messages.MESSAGES, nova_messages.MESSAGES)),
    ],
    ids=["cartesia", "deepgram"],
)
def test_every_field_that_is_read_is_described(
    readers: tuple[ModuleType, ...], tables: tuple[dict[str, type], ...]
) -> None:
    described = {field[-1] for table in tables for kind in table.values() for field in fields_of(kind)}
    read = names_read(*readers)
    assert read
    assert read - described == set()
