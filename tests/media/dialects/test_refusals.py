"""Strangers may be refused as often as they like: the log stays short."""

import asyncio

from structlog.testing import capture_logs

from media.dialects.protocol import Rejected
from media.dialects.refusals import RefusalLog

VIRTUAL_TIME = True

NO_START = Rejected("bad_start", "not a JSON object with an event", 1008)
NO_FORMAT = Rejected("bad_format", "mediaFormat is audio/x-mulaw", 1003)
TOO_BIG = Rejected(None, "a message of more than 131072 bytes", 1009)


async def test_each_mistake_is_logged_once_a_minute_with_the_number_of_the_others() -> None:
    refusals = RefusalLog()
    with capture_logs() as logs:
        for _ in range(5000):
            refusals.refused("twilio", NO_START)
        refusals.refused("twilio", NO_FORMAT)
        refusals.refused("twilio", TOO_BIG)
        await asyncio.sleep(61)
        refusals.refused("twilio", NO_START)
        refusals.refused("twilio", NO_FORMAT)

    assert [(line["code"], line["unlogged"]) for line in logs] == [
        ("bad_start", 0),
        ("bad_format", 0),
        ("1009", 0),
        ("bad_start", 4999),
        ("bad_format", 0),
    ]
    assert all(line["advice"] for line in logs)
