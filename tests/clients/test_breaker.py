import pytest

from app.clients.breaker import CircuitBreaker, Permit


def permit(breaker: CircuitBreaker, at: float) -> Permit:
    """Leave to make an attempt, which the breaker must give."""
    given = breaker.ask(at)
    assert given is not None
    return given


def fails(breaker: CircuitBreaker, at: float, *, wait: float | None = None) -> None:
    """An attempt that begins and fails at once."""
    breaker.failed(permit(breaker, at), at, wait=wait)


def broken(*, at: float = 0.0, threshold: int = 3, recovery_seconds: float = 10.0) -> CircuitBreaker:
    breaker = CircuitBreaker(threshold=threshold, recovery_seconds=recovery_seconds)
    for _ in range(threshold):
        fails(breaker, at)
    return breaker


def test_it_is_closed_at_first() -> None:
    breaker = CircuitBreaker()
    assert breaker.state(0.0) == "closed"
    assert breaker.ask(0.0)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = CircuitBreaker(threshold=2)
    fails(breaker, 0.0)
    fails(breaker, 0.0)
    assert not breaker.ask(0.0)
    assert breaker.opens == 1


def test_failures_of_attempts_that_were_made_together_count_each() -> None:
    breaker = CircuitBreaker(threshold=2)
    together = [permit(breaker, 0.0) for _ in range(2)]
    for each in together:
        breaker.failed(each, 1.0)
    assert breaker.state(1.0) == "open"


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = CircuitBreaker(threshold=2)
    fails(breaker, 0.0)
    breaker.succeeded(permit(breaker, 0.0), 0.0)
    fails(breaker, 0.0)
    assert breaker.ask(0.0)


def test_a_stream_whose_answer_began_before_the_failures_forgives_none_of_them() -> None:
    breaker = CircuitBreaker(threshold=2)
    stream = permit(breaker, 0.0)
    breaker.answered(stream, 0.2)
    fails(breaker, 5.0)
    breaker.succeeded(stream, 6.0)
    fails(breaker, 7.0)
    assert breaker.state(7.0) == "open"


def test_after_the_recovery_time_one_asker_may_try() -> None:
    breaker = broken(at=0.0, recovery_seconds=10.0)
    assert breaker.state(9.9) == "open"
    assert not breaker.ask(9.9)
    assert breaker.state(10.0) == "half_open"
    assert breaker.ask(10.0)
    assert not breaker.ask(10.0)


def test_a_successful_probe_closes_it() -> None:
    breaker = broken(at=0.0)
    breaker.succeeded(permit(breaker, 10.0), 10.0)
    assert breaker.state(10.0) == "closed"


@pytest.mark.parametrize("at", [5.0, 10.0])
def test_an_old_stream_that_ends_well_changes_nothing(at: float) -> None:
    breaker = CircuitBreaker(threshold=3)
    stream = permit(breaker, 0.0)
    breaker.answered(stream, 0.1)
    for _ in range(3):
        fails(breaker, 0.5)
    state = breaker.state(at)
    assert state != "closed"

    breaker.succeeded(stream, at)

    assert breaker.state(at) == state


def test_an_old_stream_that_ends_well_during_the_probe_leaves_the_verdict_to_the_probe() -> None:
    breaker = CircuitBreaker(threshold=1)
    stream = permit(breaker, 0.0)
    fails(breaker, 0.5)
    probe = permit(breaker, 10.5)

    breaker.succeeded(stream, 11.0)

    assert breaker.state(11.0) == "half_open"
    assert not breaker.ask(11.0)
    breaker.failed(probe, 12.0)
    assert breaker.state(12.0) == "open"


@pytest.mark.parametrize("outcome", ["failed", "abandoned"])
def test_an_older_attempt_does_not_take_the_place_of_the_probe(outcome: str) -> None:
    breaker = CircuitBreaker(threshold=1)
    old = permit(breaker, 0.0)
    fails(breaker, 0.5)
    probe = permit(breaker, 10.5)

    if outcome == "failed":
        breaker.failed(old, 11.0)
    else:
        breaker.abandoned(old)

    assert not breaker.ask(11.0)
    breaker.succeeded(probe, 11.5)
    assert breaker.state(11.5) == "closed"


def test_a_request_from_before_the_outage_that_fails_after_it_is_not_news() -> None:
    breaker = CircuitBreaker(threshold=2)
    late = [permit(breaker, 0.0) for _ in range(2)]
    fails(breaker, 0.5)
    fails(breaker, 0.5)
    breaker.succeeded(permit(breaker, 11.0), 11.0)

    for each in late:
        breaker.failed(each, 12.0)

    assert breaker.state(12.0) == "closed"


def test_answers_that_break_off_at_once_are_one_failure() -> None:
    breaker = CircuitBreaker(threshold=2)
    streams = [permit(breaker, 0.0) for _ in range(5)]
    for stream in streams:
        breaker.answered(stream, 0.1)
    for stream in streams:
        breaker.failed(stream, 3.0)
    assert breaker.state(3.0) == "closed"
    fails(breaker, 3.1)
    assert breaker.state(3.1) == "open"


def test_a_failed_probe_opens_it_again_for_the_recovery_time() -> None:
    breaker = broken(at=0.0)
    breaker.failed(permit(breaker, 10.0), 11.0)
    assert breaker.state(20.9) == "open"
    assert breaker.state(21.0) == "half_open"
    assert breaker.opens == 2


def test_a_cancelled_probe_leaves_the_place_to_the_next_asker() -> None:
    breaker = broken(at=0.0)
    breaker.abandoned(permit(breaker, 10.0))
    assert breaker.ask(10.0)


def test_a_probe_that_never_ends_does_not_keep_the_vendor_from_being_asked() -> None:
    breaker = broken(at=0.0, recovery_seconds=10.0)
    lost = permit(breaker, 10.0)
    assert not breaker.ask(19.9)
    second = permit(breaker, 20.0)
    breaker.failed(lost, 21.0)
    assert breaker.state(21.0) == "half_open"
    breaker.succeeded(second, 22.0)
    assert breaker.state(22.0) == "closed"


def test_a_probe_whose_answer_began_lets_the_others_in_before_it_ends() -> None:
    breaker = broken(at=0.0)
    breaker.answered(permit(breaker, 10.0), 10.0)
    assert breaker.ask(10.0)
    assert breaker.ask(10.0)


def test_a_probe_that_fails_after_its_answer_began_opens_at_once() -> None:
    breaker = broken(at=0.0)
    probe = permit(breaker, 10.0)
    breaker.answered(probe, 10.0)
    breaker.failed(probe, 12.0)
    assert breaker.state(12.0) == "open"


def test_the_beginning_of_an_answer_forgives_no_failures_while_closed() -> None:
    breaker = CircuitBreaker(threshold=2)
    fails(breaker, 0.0)
    breaker.answered(permit(breaker, 0.0), 0.0)
    fails(breaker, 0.0)
    assert not breaker.ask(0.0)


def test_who_insists_is_never_refused_and_closes_nothing() -> None:
    breaker = broken(at=0.0)
    insisting = breaker.ask(1.0, insist=True)
    assert insisting is not None
    breaker.succeeded(insisting, 2.0)
    assert breaker.state(2.0) == "open"


def test_the_vendors_wish_opens_at_once_and_for_as_long_as_it_said() -> None:
    breaker = CircuitBreaker(threshold=5, recovery_seconds=10.0)
    fails(breaker, 0.0, wait=2.0)
    assert breaker.state(1.9) == "open"
    assert breaker.state(2.0) == "half_open"


def test_a_wish_beyond_reason_is_probed_after_a_minute() -> None:
    breaker = CircuitBreaker()
    fails(breaker, 0.0, wait=1e308)
    assert breaker.state(59.9) == "open"
    assert breaker.state(60.0) == "half_open"


def test_a_wish_to_wait_no_time_is_an_ordinary_failure() -> None:
    breaker = CircuitBreaker(threshold=2, recovery_seconds=10.0)
    fails(breaker, 0.0, wait=0.0)
    fails(breaker, 0.0, wait=0.0)
    assert breaker.state(9.9) == "open"


def test_a_short_wish_does_not_shorten_a_long_one() -> None:
    breaker = CircuitBreaker()
    earlier = permit(breaker, 0.0)
    fails(breaker, 0.0, wait=30.0)
    breaker.failed(earlier, 1.0, wait=1.0)
    assert breaker.state(29.0) == "open"
    assert breaker.opens == 1


def test_late_failures_of_older_requests_do_not_count_as_openings() -> None:
    breaker = CircuitBreaker(threshold=3)
    older = permit(breaker, 0.0)
    for _ in range(3):
        fails(breaker, 0.0)
    breaker.failed(older, 1.0)
    assert breaker.opens == 1


def test_its_representation_says_how_it_is() -> None:
    assert repr(broken(threshold=3)) == "<CircuitBreaker 3 failures in a row, opened 1 times>"


def test_a_vendor_is_down_from_the_opening_until_an_answer() -> None:
    breaker = broken(threshold=2, recovery_seconds=1.0)
    assert breaker.is_down(0.5)
    assert breaker.is_down(5.0), "nobody has tried it since"

    breaker.answered(permit(breaker, 5.0), 5.1)
    assert not breaker.is_down(5.2)


def test_a_vendor_that_failed_long_ago_and_was_not_tried_since_does_not_count_as_down() -> None:
    breaker = broken(threshold=2, recovery_seconds=1.0)

    assert breaker.is_down(10.9)
    assert not breaker.is_down(11.1)


def test_a_failure_or_two_do_not_make_a_vendor_down() -> None:
    breaker = CircuitBreaker(threshold=3)
    fails(breaker, 0.0)
    fails(breaker, 0.0)

    assert not breaker.is_down(0.0)
