"""Draws some cases of a large product by a seed, or takes all of them.

``MATRIX_CELLS=all`` takes all, as ``make fuzz`` does. ``MATRIX_SEED`` draws the same cases as an earlier run.
"""

import os
import random

WHOLE = os.environ.get("MATRIX_CELLS") == "all"
SEED = int(os.environ.get("MATRIX_SEED") or random.SystemRandom().randrange(10**6))


def chance() -> random.Random:
    """Draws by the seed, which a failing test shows."""
    print(f"MATRIX_SEED={SEED}")  # noqa: T201 - pytest shows it
    return random.Random(SEED)  # noqa: S311 - draws cases, keeps no secret
