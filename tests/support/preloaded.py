"""A library in C that a child process loads first, in the place of functions of the system."""

import os
import subprocess
from pathlib import Path


def preloaded(source: Path, folder: Path) -> dict[str, str]:
    """Compile it into ``folder``; returns the environment of the process. Needs a C compiler, ``cc``.

    The linker takes spaces and colons in LD_PRELOAD for separators, so it finds the file by its name alone.
    """
    library = folder / f"{source.stem}.so"
    command = ("cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl")
    subprocess.run(command, check=True, timeout=60)
    path = os.environ.get("LD_LIBRARY_PATH")
    return {
        "LD_PRELOAD": library.name,
        "LD_LIBRARY_PATH": f"{folder.resolve()}:{path}" if path else str(folder.resolve()),
    }
