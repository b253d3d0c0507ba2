import asyncio

import pytest

from sandbox.vendors.faults import CutOff, Fault, FaultBook, Stalled, Trouble

VIRTUAL_TIME = True


def asked(book: FaultBook, call_id: str = "c1") -> Trouble:
    return book.take("openai", "responses", call_id)


async def cut_off(trouble: Trouble) -> None:
    async with trouble.cutting():
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("kind", ["cut", "unreachable", "refuse", "unauthorized", "unpaid", "forbidden", "rate_limit"])
async def test_a_fault_in_progress_cuts_answers_that_have_begun(kind: str) -> None:
    book = FaultBook()
    loop = asyncio.get_running_loop()
    answers = {name: loop.create_task(cut_off(asked(book, name))) for name in ("c1", "c2")}
    await asyncio.sleep(1)
    book.add(Fault("openai", kind, times=None, call_id="c1", in_progress=True, after_seconds=2.0))
    await asyncio.wait([answers["c1"]])
    assert isinstance(answers["c1"].exception(), CutOff)
    assert loop.time() == pytest.approx(3.0)
    assert not answers["c2"].done()
    answers["c2"].cancel()
    await asyncio.wait([answers["c2"]])


@pytest.mark.parametrize(("in_progress", "strikes"), [(True, 1), (False, 0)])
async def test_it_stalls_the_next_message_and_counts(in_progress: bool, strikes: int) -> None:
    book = FaultBook()
    first, second, other = asked(book), asked(book), book.take("cartesia", "tts/bytes", "c1")
    async with first.cutting(), second.cutting(), other.cutting():
        assert await first.fate() == "send"
        fault = Fault("openai", "stall", in_progress=in_progress)
        book.add(fault)
        assert fault.struck == strikes
        assert book.listed() == ([] if in_progress else [fault])
        if in_progress:
            with pytest.raises(Stalled):
                await first.fate()
        assert await second.fate() == await other.fate() == "send"


async def test_an_answer_that_is_over_is_not_struck() -> None:
    book = FaultBook()
    async with asked(book).cutting():
        pass
    fault = Fault("openai", "cut", in_progress=True)
    book.add(fault)
    assert (fault.struck, book.listed()) == (0, [fault])
    book.remove(fault)
    book.remove(fault)
    assert book.listed() == []


async def test_a_late_answer_is_late_once() -> None:
    book = FaultBook()
    book.add(Fault("openai", "late", seconds_per_item=4.0))
    trouble, clock = asked(book), asyncio.get_running_loop().time
    assert [await trouble.fate(), clock(), await trouble.fate(), clock()] == ["send", 4.0, "send", 4.0]
