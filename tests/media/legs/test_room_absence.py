"""When the listener learns that the room is away, back, or given up."""

import asyncio

from media.legs.room_absence import AWAY_SECONDS_MAX, RoomAbsence

VIRTUAL_TIME = True


class Told:
    """An absence, and what it has told."""

    def __init__(self) -> None:
        self.lost: list[float] = []
        self.regained: list[float] = []
        self.given_up = 0
        self.absence = RoomAbsence(
            on_lost=self.lost.append, on_regained=self.regained.append, on_given_up=self._give_up
        )

    def _give_up(self) -> None:
        self.given_up += 1


async def test_a_blink_goes_unnoticed() -> None:
    told = Told()
    told.absence.lost(for_certain=False)
    await asyncio.sleep(0.4)
    told.absence.connected()
    told.absence.regained()
    await asyncio.sleep(60)

    assert (told.lost, told.regained, told.given_up) == ([], [], 0)


async def test_a_longer_loss_is_told_with_its_beginning_and_its_end() -> None:
    told = Told()
    told.absence.lost(for_certain=False)
    await asyncio.sleep(1)
    assert [round(seconds, 3) for seconds in told.lost] == [0.5]

    await asyncio.sleep(2)
    told.absence.connected()
    told.absence.regained()
    await asyncio.sleep(60)
    assert ([round(seconds, 3) for seconds in told.regained], told.given_up) == ([3.0], 0)


async def test_a_room_that_is_dead_is_away_at_once() -> None:
    told = Told()
    told.absence.lost(for_certain=True)
    await asyncio.sleep(0.01)

    assert len(told.lost) == 1
    told.absence.stop()


async def test_a_room_that_dies_while_it_is_restored_is_one_loss() -> None:
    told = Told()
    told.absence.lost(for_certain=False)
    await asyncio.sleep(2)
    told.absence.lost(for_certain=True)
    await asyncio.sleep(AWAY_SECONDS_MAX - 2.1)
    assert (len(told.lost), told.given_up) == (1, 0)

    await asyncio.sleep(0.2)
    assert told.given_up == 1


async def test_the_caller_of_a_room_that_cannot_be_reached_proves_nothing() -> None:
    told = Told()
    told.absence.lost(for_certain=True)
    await asyncio.sleep(1)
    told.absence.regained()
    assert told.regained == []

    told.absence.connected()
    assert told.regained == [], "the caller is not there yet"
    told.absence.regained()
    assert len(told.regained) == 1


async def test_a_second_loss_has_its_own_time() -> None:
    told = Told()
    for _ in range(2):
        told.absence.lost(for_certain=True)
        await asyncio.sleep(20)
        told.absence.connected()
        told.absence.regained()

    assert (len(told.lost), len(told.regained), told.given_up) == (2, 2, 0)
