import pytest

from bench.fault_matrix.cells import ATTEMPTS, INTERFACES, KINDS, LEFT_OUT, MOMENTS, STARTS, Cell, all_cells, chosen
from bench.fault_matrix.real_time import BREAKS
from sandbox.vendors.faults import GENERAL, NAMED, Fault


def test_the_matrix_has_every_way_at_every_moment_for_each_interface() -> None:
    cells = all_cells()
    assert len(set(cells)) == len(cells)
    ways_of_one = [name for name, kind in KINDS.items() if not kind.is_whole_vendor]
    for interface in [name for name in INTERFACES if name not in LEFT_OUT]:
        of_it = [cell for cell in cells if cell.interface == interface and not cell.way.is_whole_vendor]
        assert len(of_it) == len(ways_of_one) * len(MOMENTS) * len(ATTEMPTS) * len(STARTS)


def test_a_whole_vendor_fails_once_for_each_vendor() -> None:
    whole = {(cell.place.vendor, cell.kind) for cell in all_cells() if cell.way.is_whole_vendor}
    vendors = ("deepgram", "openai", "cartesia", "livekit", None)
    assert whole == {(vendor, kind) for vendor in vendors for kind in ("back-after-5s", "down")}


def test_the_parts_of_the_house_have_every_way_that_is_not_left_out_with_a_reason() -> None:
    for interface, reasons in LEFT_OUT.items():
        assert reasons.keys() <= {*KINDS, *ATTEMPTS}
        assert all(reasons.values())
        of_it = [cell for cell in all_cells() if cell.interface == interface]
        assert {cell.kind for cell in of_it} == KINDS.keys() - reasons.keys()
        assert {cell.moment for cell in of_it} == set(MOMENTS)
        assert {cell.start for cell in of_it} == set(STARTS)
        for cell in of_it:
            assert cell.place.vendor is not None or (cell.interface, cell.kind) in BREAKS


@pytest.mark.parametrize(
    "cell", chosen([cell for cell in all_cells() if cell.place.vendor is not None], sample=100), ids=str
)
def test_the_sandbox_knows_each_fault(cell: Cell) -> None:
    fault = cell.fault("call_1")
    assert fault.kind in GENERAL or fault.kind in NAMED[fault.vendor]
    assert fault.call_id == (None if cell.strikes_all or cell.place.vendor == "livekit" else "call_1")
    assert fault.times == (1 if cell.attempts == "one" else None)
    assert isinstance(fault, Fault)


def test_a_sample_follows_from_its_seed_and_words_choose() -> None:
    cells = all_cells()
    assert chosen(cells, sample=20, seed=3) == chosen(cells, sample=20, seed=3) != chosen(cells, sample=20, seed=4)
    found = chosen(cells, ["aura hangs", "flux 401 tool"])
    assert {(cell.interface, cell.kind) for cell in found} == {("aura", "hangs"), ("flux", "401")}
    assert {cell.moment for cell in found if cell.interface == "flux"} == {"tool"}
