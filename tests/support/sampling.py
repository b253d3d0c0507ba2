"""Where a whole product of cases takes too long for each run of the tests, some are drawn by a seed, or all are tried.

``MATRIX_CELLS=all`` tries all, ``MATRIX_SEED`` draws the same as a run before; ``make fuzz`` does the former.
"""

import os
import random

WHOLE = os.environ.get("MATRIX_CELLS") == "all"
SEED = int(os.environ.get("MATRIX_SEED") or random.SystemRandom().randrange(10**6))


def chance() -> random.Random:
    """Draws by the seed, which a failing test shows."""
    print(f"MATRIX_SEED={SEED}")  # noqa: T201 - pytest shows it
    return random.Random(SEED)  # noqa: S311 - draws cases, keeps no secret
