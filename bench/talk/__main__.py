"""Conversations with simulated callers, scored as the field scores: ``python -m bench.talk``.

The service runs as an operator runs it. Callers interrupt, say "uh-huh", cough, hesitate and spell; others have an echo
or noise on the line, or somebody who talks in the room. The sandbox recognises speech by the sound that the service
sends it. The seed decides everything that is left to chance. The exit status is 1 when an aim is missed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.pinned import sandbox, service
from bench.talk.aims import Result, results, table
from bench.talk.holding import Calls
from bench.talk.scenes import KINDS, LANGUAGES, Scene, scene
from bench.talk.scoring import Take, observe

_LATE_MAX = 0.02
"""When frames are later than this, the machine was too busy, and the figures say little."""


def main() -> int:
    """Print the table, or JSON; returns the exit status."""
    options = _parser().parse_args()
    seeds = options.seed or range(1, options.seeds + 1)
    scenes = [
        scene(kind, language, seed)
        for seed in seeds
        for kind in options.only or KINDS
        for language in options.language or LANGUAGES
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(options.profile, "--listens", core=None) as (vendors, addresses),
        service(Path(folder), addresses, core=None, STT_MODEL=options.stt_model) as server,
    ):
        calls = Calls(server.url, vendors.url)
        takes = asyncio.run(calls.hold(scenes, options.at_once))
    found = results(each for take in takes for each in observe(take))
    late = max(calls.late_p99, default=0.0)
    if options.json:
        sys.stdout.write(json.dumps(_as_json(found, late, takes if options.rows else ()), ensure_ascii=False) + "\n")
    else:
        _print(found, late, scenes)
    return int(any(each.met is False for each in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.talk", description=__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="how many seeds of each kind, from 1")
    parser.add_argument("--seed", type=int, nargs="+", help="these seeds")
    parser.add_argument("--only", nargs="+", choices=KINDS, metavar="KIND", help=f"these kinds: {', '.join(KINDS)}")
    parser.add_argument("--language", nargs="+", choices=LANGUAGES)
    parser.add_argument("--at-once", type=int, default=14, help="calls at once")
    parser.add_argument("--profile", default="typical", help="how quick the vendors are")
    parser.add_argument("--stt-model", default="flux-general-multi")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", action="store_true", help="with --json: the journals, and when sound was heard")
    return parser


def _print(found: list[Result], late: float, scenes: list[Scene]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table(found))
    for each in found:
        for name, at, note in each.failed:
            console.print(f"{each.name}: {name} at {at:.1f} s: {note}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"{len(scenes)} calls; frames at most {late * 1000:.0f} ms late (p99 of a call)")
    if late > _LATE_MAX:
        console.print("The machine was too busy for these figures to say much.")


def _as_json(found: list[Result], late: float, takes: "list[Take] | tuple[()]") -> dict[str, object]:
    return {
        "results": [each.as_json() for each in found],
        "frames_late_p99": late,
        "calls": [
            {
                "name": take.name,
                "failure": take.failure,
                "caller": [[each.kind, each.text, each.started_at, each.ended_at] for each in take.utterances],
                "agent": [[span.start, span.end] for span in take.agent_spans],
                "rows": [[round(row.at, 3), row.type, row.data] for row in take.rows],
            }
            for take in takes
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
