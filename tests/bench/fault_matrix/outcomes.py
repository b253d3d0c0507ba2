"""Outcomes of cells, as the matrix would measure them."""

from typing import Any

from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import Lived, Outcome

HELD = Lived(answered_after=[0.6], silence=0.9, heard=["Да."], answers=3, end_reason="agent_hangup", fault="none")


def lived(**differently: Any) -> Lived:
    values = {name: getattr(HELD, name) for name in HELD.__dataclass_fields__}
    return Lived(**{**values, **differently})


def outcome(cell: Cell | None = None, *, left: tuple[str, ...] = (), other: Lived = HELD, **struck: Any) -> Outcome:
    return Outcome(cell or Cell("flux", "hangs", "tool", "all", "warm"), lived(**struck), other, 1, list(left))
