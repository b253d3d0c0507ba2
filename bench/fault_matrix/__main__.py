"""Break each part that a call needs in each way at each moment of it: ``python -m bench.fault_matrix``.

Prints a line for each cell, then the cells that miss an aim, and writes ``docs/fault-matrix.md``. The exit status is 1
when a caller was left in silence for more than two seconds, or when anything but the struck call suffered. LiveKit's
API, the room, the database and the disk need livekit-server and Redis, as the room tests do.
"""

import argparse
import shlex
import sys
from pathlib import Path

from app.clock import utc_now
from bench.fault_matrix import kept
from bench.fault_matrix.aims import missed
from bench.fault_matrix.cells import INTERFACES, KINDS, all_cells, chosen
from bench.fault_matrix.document import document
from bench.fault_matrix.holding import Outcome
from bench.fault_matrix.processes import hold_all


def main() -> int:
    """Hold the cells and return the exit status."""
    options = _parser().parse_args()
    cells = chosen(all_cells(), options.only, options.sample, options.seed)
    command = shlex.join(["python", "-m", "bench.fault_matrix", *sys.argv[1:]])
    outcomes = [] if options.keep is None else [each for each in kept.read(options.keep, cells) if not missed(each)]
    held = {outcome.cell for outcome in outcomes}
    for outcome in hold_all([cell for cell in cells if cell not in held], options.at_once):
        outcomes.append(outcome)
        print(f"{len(outcomes)}/{len(cells)} {_line(outcome)}", flush=True)
        if options.keep is not None:
            kept.add(options.keep, outcome)
        if options.write is not None:  # a run that is stopped leaves what it has found
            _write(options.write, outcomes, command)
    if options.write is not None:
        _write(options.write, outcomes, command)
    wrong = [outcome for outcome in outcomes if missed(outcome)]
    for outcome in wrong:
        print(f"MISSED {outcome.cell}: {'; '.join(missed(outcome))}")
    print(f"{len(outcomes)} cells, {len(wrong)} miss an aim")
    return int(bool(wrong))


def _write(path: Path, outcomes: list[Outcome], command: str) -> None:
    in_order = sorted(outcomes, key=lambda outcome: outcome.cell)
    path.write_text(document(in_order, command, utc_now().date().isoformat()), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.fault_matrix", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORDS",
        help=f"cells whose names have all these words, such as 'aura hangs thinking'; may be given several times. "
        f"Interfaces: {', '.join(INTERFACES)}. Ways: {', '.join(KINDS)}",
    )
    parser.add_argument("--sample", type=int, help="draw so many of them")
    parser.add_argument("--seed", type=int, default=1, help="draws the sample")
    parser.add_argument(
        "--at-once",
        type=int,
        default=2,
        help="cells at once, each in a process of its own; LiveKit, the database and the disk break one after another",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="keep the outcomes in this file, and hold only those that it lacks or that missed an aim",
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="where the document goes; none by default")
    return parser


def _line(outcome: Outcome) -> str:
    struck = outcome.struck
    served = ",".join(struck.served)
    return (
        f"{outcome.cell}: {'; '.join(missed(outcome)) or 'ok'} | silence {struck.silence:.1f} s, "
        f"{struck.answers} answers, {struck.end_reason}, {struck.fault}, {served}, strikes {outcome.strikes}"
    )


if __name__ == "__main__":
    sys.exit(main())
