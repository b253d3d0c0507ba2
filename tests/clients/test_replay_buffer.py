from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from app.clients.replay_buffer import ReplayBuffer, Timeline


def numbered(start: int, samples: int) -> bytes:
    return b"".join((start + index).to_bytes(2, "little") for index in range(samples))


def buffer_of(capacity: int) -> ReplayBuffer:
    return ReplayBuffer(sample_bytes=2, capacity=capacity)


def take_all(buffer: ReplayBuffer) -> list[int]:
    """The numbers of the samples that were taken, which are their positions."""
    taken: list[int] = []
    while piece := buffer.take(7):
        numbers = [int.from_bytes(piece.audio[at : at + 2], "little") for at in range(0, len(piece.audio), 2)]
        assert numbers[0] == piece.start
        taken += numbers
    return taken


def test_audio_comes_out_once_and_in_order() -> None:
    buffer = buffer_of(100)
    buffer.append(numbered(0, 10))
    buffer.append(numbered(10, 10))
    assert take_all(buffer) == list(range(20))
    assert buffer.take(7) is None


def test_a_new_socket_is_told_what_was_not_acknowledged() -> None:
    buffer = buffer_of(100)
    buffer.append(numbered(0, 20))
    take_all(buffer)
    buffer.acknowledge(12)
    buffer.rewind()
    buffer.append(numbered(20, 5))
    assert take_all(buffer) == list(range(12, 25))
    assert buffer.dropped == 0


def test_only_audio_that_was_never_sent_counts_as_dropped() -> None:
    buffer = buffer_of(10)
    buffer.append(numbered(0, 8))
    take_all(buffer)
    buffer.rewind()
    buffer.append(numbered(8, 10))
    assert take_all(buffer) == list(range(8, 18))
    assert buffer.dropped == 0
    buffer.append(numbered(18, 13))
    assert buffer.dropped == 3


def test_what_was_not_sent_cannot_be_acknowledged() -> None:
    buffer = buffer_of(10)
    buffer.append(numbered(0, 8))
    buffer.take(3)
    buffer.acknowledge(1000)
    assert take_all(buffer) == [3, 4, 5, 6, 7]


def test_half_a_sample_waits_for_its_other_half() -> None:
    buffer = buffer_of(10)
    whole = numbered(0, 4)
    buffer.append(whole[:3])
    assert take_all(buffer) == [0]
    buffer.append(whole[3:])
    assert take_all(buffer) == [1, 2, 3]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 30)),
        st.tuples(st.just("take"), st.integers(1, 30)),
        st.tuples(st.just("acknowledge"), st.integers(0, 400)),
        st.tuples(st.just("rewind"), st.just(0)),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_nothing_is_lost_within_the_bound_and_nothing_acknowledged_is_repeated(steps: list[tuple[str, int]]) -> None:
    capacity = 50
    buffer = buffer_of(capacity)
    end = acknowledged = taken_to = ever_taken = 0
    gone: set[int] = set()
    for step, number in steps:
        if step == "append":
            buffer.append(numbered(end, number))
            fallen = range(max(acknowledged, ever_taken), max(acknowledged, ever_taken, end + number - capacity))
            gone |= set(fallen)
            end += number
        elif step == "take" and (piece := buffer.take(number)):
            assert piece.start >= acknowledged
            assert piece.start == max(taken_to, end - capacity, acknowledged)
            taken_to = piece.start + len(piece.audio) // 2
            ever_taken = max(ever_taken, taken_to)
        elif step == "acknowledge":
            buffer.acknowledge(number)
            acknowledged = max(acknowledged, min(number, taken_to))
        elif step == "rewind":
            buffer.rewind()
            taken_to = 0
        assert buffer.end == end
    buffer.rewind()
    assert take_all(buffer) == list(range(max(acknowledged, end - capacity, 0), end))
    assert buffer.dropped == len(gone)


def test_times_of_a_second_socket_go_on_where_its_audio_began() -> None:
    timeline = Timeline(sample_rate=1000)
    timeline.sent(4000, 2000)
    assert timeline.seconds(0.0) == 4.0
    assert timeline.seconds(1.5) == 5.5


def test_silence_that_was_put_in_takes_no_time_of_the_stream() -> None:
    timeline = Timeline(sample_rate=1000)
    timeline.sent(0, 1000)
    timeline.filled(500)
    timeline.filled(500)
    timeline.sent(1000, 1000)
    assert [timeline.seconds(at) for at in (0.9, 1.2, 1.9, 2.5)] == [0.9, 1.0, 1.0, 1.5]


def test_dropped_audio_is_a_jump() -> None:
    timeline = Timeline(sample_rate=1000)
    timeline.sent(0, 1000)
    timeline.sent(3000, 1000)
    assert [timeline.seconds(at) for at in (0.5, 1.5)] == [0.5, 3.5]


def test_no_time_lies_beyond_what_was_sent() -> None:
    timeline = Timeline(sample_rate=1000)
    assert timeline.seconds(1.0) == 0.0
    timeline.sent(0, 1000)
    assert timeline.seconds(9.0) == 1.0


@given(pieces=st.lists(st.tuples(st.sampled_from(["sent", "filled", "dropped"]), st.integers(1, 50)), max_size=30))
def test_time_never_goes_back(pieces: list[tuple[str, int]]) -> None:
    timeline = Timeline(sample_rate=100)
    position = socket = 0
    for kind, samples in pieces:
        if kind == "filled":
            timeline.filled(samples)
        if kind == "sent":
            timeline.sent(position, samples)
        position += samples if kind != "filled" else 0
        socket += samples if kind != "dropped" else 0
    read: Callable[[int], float] = lambda moment: timeline.seconds(moment / 100)  # noqa: E731 - shorter than a def
    times = [read(moment) for moment in range(socket + 10)]
    assert times == sorted(times)
