import pytest

from bench.fault_matrix.cells import ATTEMPTS, INTERFACES, KINDS, MOMENTS, STARTS, Cell, all_cells, chosen
from sandbox.vendors.faults import GENERAL, Fault


def test_the_matrix_has_every_way_at_every_moment_for_each_interface() -> None:
    cells = all_cells()
    assert len(set(cells)) == len(cells)
    ways_of_one = [name for name, kind in KINDS.items() if not kind.is_whole_vendor]
    for interface in INTERFACES:
        of_it = [cell for cell in cells if cell.interface == interface and not cell.way.is_whole_vendor]
        assert len(of_it) == len(ways_of_one) * len(MOMENTS) * len(ATTEMPTS) * len(STARTS)


def test_a_whole_vendor_fails_once_for_each_vendor() -> None:
    whole = {(cell.place.vendor, cell.kind) for cell in all_cells() if cell.way.is_whole_vendor}
    assert whole == {
        (vendor, kind) for vendor in ("deepgram", "openai", "cartesia") for kind in ("back-after-5s", "down")
    }


@pytest.mark.parametrize("cell", chosen(all_cells(), sample=100), ids=str)
def test_the_sandbox_knows_each_fault(cell: Cell) -> None:
    fault = cell.fault("call_1")
    assert fault.kind in GENERAL
    assert fault.call_id == (None if cell.strikes_all else "call_1")
    assert fault.times == (1 if cell.attempts == "one" else None)
    assert isinstance(fault, Fault)


def test_a_sample_follows_from_its_seed_and_words_choose() -> None:
    cells = all_cells()
    assert chosen(cells, sample=20, seed=3) == chosen(cells, sample=20, seed=3) != chosen(cells, sample=20, seed=4)
    found = chosen(cells, ["aura hangs", "flux 401 tool"])
    assert {(cell.interface, cell.kind) for cell in found} == {("aura", "hangs"), ("flux", "401")}
    assert {cell.moment for cell in found if cell.interface == "flux"} == {"tool"}
