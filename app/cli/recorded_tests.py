"""``voice-agent test --from``: makes a file of tests of a stored call, with the caller's own sound beside it."""

import sys
from pathlib import Path

from app.agent_tests.file import SUFFIXES
from app.calls.after.recorded_test import RecordedTest, recorded_test
from app.cli.explain import stored_call
from app.observability.printable import printable
from app.settings import load_settings

_OWN = 0o600
"""Callers' words are in it."""


def write_recorded_test(call_id: str, output: Path | None) -> int:
    """Write a file of tests that holds a stored call again; without ``output``, print it, without sound.

    Returns the exit status: 1 if there is no such call, or nothing to make a test of.
    """
    found = stored_call(call_id)
    if found is None:
        return 1
    call, rows = found
    recordings = load_settings().recordings_dir
    has_sound = output is not None and call.recording and call.recording_erased_at is None
    folder = "" if output is None else f"{_stem(output)}.sound"
    try:
        if call.words_erased_at is not None:
            raise ValueError("its words were erased")
        made = recorded_test(
            call.call_id, rows, recordings / call.call_id if has_sound else None, sound_folder=folder
        )  # fmt: skip
        if output is not None:
            _write(made, output)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{printable(call_id)}: {error}\n")
        return 1
    if output is None:
        sys.stdout.write(made.yaml)
        if call.recording and call.recording_erased_at is None:
            sys.stderr.write("This file has the caller's words; --output FILE also writes their sound, beside it.\n")
    elif made.sounds:
        pieces = "1 piece" if len(made.sounds) == 1 else f"{len(made.sounds)} pieces"
        sys.stderr.write(f"{output} is written, and {pieces} of sound in {output.parent / folder}.\n")
    else:
        sys.stderr.write(f"{output} is written. The call has no recording, so it has the caller's words alone.\n")
    return 0


def _stem(output: Path) -> str:
    return next((output.name.removesuffix(suffix) for suffix in SUFFIXES if output.name.endswith(suffix)), output.stem)


def _write(made: RecordedTest, output: Path) -> None:
    """Raises OSError."""
    for path, wav in made.sounds.items():
        sound = output.parent / path
        sound.parent.mkdir(mode=0o700, exist_ok=True)
        sound.touch(_OWN)
        sound.write_bytes(wav)
    output.touch(_OWN)
    output.write_text(made.yaml, encoding="utf-8")
