"""What came of tests: attempts, scenarios, and how reliably they pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from app.agent_tests.expectations import Checked
from app.models import JournalRow


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a scenario."""

    checks: tuple[Checked, ...]
    seconds: float
    """How long it really took."""
    turns: int = 0
    cost_usd: float | None = 0.0
    problem: str = ""
    """Why the call could not be held, or not to its end; empty if it was."""
    rows: tuple[JournalRow, ...] = ()
    """The call's journal."""

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problem and all(check.is_met for check in self.checks)

    @property
    def first_failure(self) -> Checked | None:
        """The expectation that failed at the earliest turn; one about the call as a whole comes last."""
        failed = [check for check in self.checks if not check.is_met]
        return min(failed, key=lambda check: float("inf") if check.turn is None else check.turn, default=None)


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """All attempts at a scenario."""

    file: str
    name: str
    attempts: tuple[Attempt, ...]

    @property
    def passes(self) -> int:
        """How many attempts passed."""
        return sum(attempt.passed for attempt in self.attempts)

    @property
    def passed(self) -> bool:
        """Whether all attempts passed."""
        return self.passes == len(self.attempts)

    @property
    def first_failed(self) -> Attempt | None:
        """The first attempt that failed."""
        return next((attempt for attempt in self.attempts if not attempt.passed), None)


def pass_hat(results: Sequence[ScenarioResult], k: int) -> float:
    """pass^k: how likely it is that k attempts in a row all pass, as the mean over the scenarios.

    The estimate is C(passes, k) / C(attempts, k) for each scenario, https://arxiv.org/abs/2406.12045.
    """
    shares = [comb(each.passes, k) / comb(len(each.attempts), k) for each in results]
    return sum(shares) / len(shares) if shares else 1.0
