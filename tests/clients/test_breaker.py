from app.clients.breaker import CircuitBreaker


def broken(*, at: float = 0.0, threshold: int = 3, recovery_seconds: float = 10.0) -> CircuitBreaker:
    breaker = CircuitBreaker(threshold=threshold, recovery_seconds=recovery_seconds)
    for _ in range(threshold):
        breaker.failed(at)
    return breaker


def test_it_is_closed_at_first() -> None:
    breaker = CircuitBreaker()
    assert breaker.state(0.0) == "closed"
    assert breaker.allows(0.0)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = CircuitBreaker(threshold=2)
    breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    assert not breaker.allows(0.0)
    assert breaker.opens == 1


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = CircuitBreaker(threshold=2)
    breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    assert breaker.allows(0.0)


def test_after_the_recovery_time_one_asker_may_try() -> None:
    breaker = broken(at=0.0, recovery_seconds=10.0)
    assert breaker.state(9.9) == "open"
    assert not breaker.allows(9.9)
    assert breaker.state(10.0) == "half_open"
    assert breaker.allows(10.0)
    assert not breaker.allows(10.0)


def test_a_successful_probe_closes_it() -> None:
    breaker = broken(at=0.0)
    breaker.allows(10.0)
    breaker.succeeded()
    assert breaker.state(10.0) == "closed"


def test_a_failed_probe_opens_it_again_for_the_recovery_time() -> None:
    breaker = broken(at=0.0)
    breaker.allows(10.0)
    breaker.failed(11.0)
    assert breaker.state(20.9) == "open"
    assert breaker.state(21.0) == "half_open"
    assert breaker.opens == 2


def test_a_cancelled_probe_leaves_the_place_to_the_next_asker() -> None:
    breaker = broken(at=0.0)
    breaker.allows(10.0)
    breaker.abandoned()
    assert breaker.allows(10.0)


def test_a_probe_whose_answer_began_lets_the_others_in_before_it_ends() -> None:
    breaker = broken(at=0.0)
    breaker.allows(10.0)
    breaker.answered()
    assert breaker.allows(10.0)
    assert breaker.allows(10.0)


def test_a_probe_that_fails_after_its_answer_began_opens_at_once() -> None:
    breaker = broken(at=0.0)
    breaker.allows(10.0)
    breaker.answered()
    breaker.failed(12.0)
    assert breaker.state(12.0) == "open"


def test_the_beginning_of_an_answer_forgives_no_failures_while_closed() -> None:
    breaker = CircuitBreaker(threshold=2)
    breaker.failed(0.0)
    breaker.answered()
    breaker.failed(0.0)
    assert not breaker.allows(0.0)


def test_the_vendors_wish_opens_at_once_and_for_as_long_as_it_said() -> None:
    breaker = CircuitBreaker(threshold=5, recovery_seconds=10.0)
    breaker.failed(0.0, wait=2.0)
    assert breaker.state(1.9) == "open"
    assert breaker.state(2.0) == "half_open"


def test_a_wish_to_wait_no_time_is_an_ordinary_failure() -> None:
    breaker = CircuitBreaker(threshold=2, recovery_seconds=10.0)
    breaker.failed(0.0, wait=0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0, wait=0.0)
    assert breaker.state(9.9) == "open"


def test_a_short_wish_does_not_shorten_a_long_one() -> None:
    breaker = CircuitBreaker()
    breaker.failed(0.0, wait=30.0)
    breaker.failed(1.0, wait=1.0)
    assert breaker.state(29.0) == "open"
    assert breaker.opens == 1


def test_late_failures_of_older_requests_do_not_count_as_openings() -> None:
    breaker = broken(at=0.0)
    breaker.failed(1.0)
    assert breaker.opens == 1


def test_its_representation_says_how_it_is() -> None:
    assert repr(broken(threshold=3)) == "<CircuitBreaker 3 failures in a row, opened 1 times>"
