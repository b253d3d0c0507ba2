"""Every dialect, played by a real server in pieces of any size."""

import pytest

from app.ports.streams import ModelFinished, TextDelta, TextRetracted, ToolCall
from tests.clients.openai.dialects import DIALECTS, Dialect
from tests.clients.openai.server import Script, client_of, reply_of, running


def script(dialect: Dialect, size: int) -> Script:
    if not isinstance(dialect.stream, str):
        return dialect.stream
    body = dialect.stream.encode()
    return [body[place : place + size] for place in range(0, len(body), size)]


@pytest.mark.parametrize("size", [7, 100_000])
@pytest.mark.parametrize("name", DIALECTS)
async def test_a_dialect_is_understood(name: str, size: int) -> None:
    dialect = DIALECTS[name]
    async with running(script(dialect, size)) as server, client_of(server, dialect.api) as client:
        if dialect.error is not None:
            with pytest.raises(dialect.error) as caught:
                await reply_of(client)
            assert type(caught.value) is dialect.error
            return
        events = await reply_of(client)
    last_retracted = max((place for place, each in enumerate(events) if isinstance(each, TextRetracted)), default=-1)
    texts = [each.text for each in events[last_retracted + 1 :] if isinstance(each, TextDelta)]
    assert "".join(texts) == dialect.text
    assert [each for each in events if isinstance(each, ToolCall)] == dialect.calls
    (finished,) = [each for each in events if isinstance(each, ModelFinished)]
    assert finished.reason == dialect.reason
    if dialect.prompt_tokens is not None:
        assert (finished.usage.prompt, finished.usage.completion) == (dialect.prompt_tokens, 3)
    assert finished.usage.prompt > 0
