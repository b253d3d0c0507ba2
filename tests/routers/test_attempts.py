import pytest

from routers.attempts import FailedAttempts


def test_an_address_may_be_wrong_ten_times_a_minute() -> None:
    attempts = FailedAttempts()

    assert [attempts.fail("a", now) for now in range(10)] == [0] * 10
    assert attempts.fail("a", 10.5) == 50
    assert attempts.fail("a", 59.5) == 1
    assert attempts.fail("a", 60.0) == 0


def test_one_address_is_not_another() -> None:
    attempts = FailedAttempts(budget=1)

    assert [attempts.fail("a", 0), attempts.fail("a", 1), attempts.fail("b", 1)] == [0, 59, 0]


def test_of_too_many_addresses_the_oldest_is_forgotten() -> None:
    attempts = FailedAttempts(budget=1, addresses=100)
    for number in range(10_000):
        attempts.fail(str(number), number / 1000)

    assert len(attempts) == 100
    assert attempts.fail("9999", 10) > 0
    assert attempts.fail("0", 10) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),
        ("203.0.113.7", "203.0.113.8", False),
        ("", "unix", False),
    ],
)
def test_addresses_that_one_customer_has_are_counted_together(one: str, other: str, is_same: bool) -> None:
    attempts = FailedAttempts(budget=1)
    attempts.fail(one, 0)
    assert (attempts.fail(other, 1) > 0) is is_same
