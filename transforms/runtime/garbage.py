"""How a worker's garbage collector treats batches."""

from __future__ import annotations

import gc

# A batch of 500 profiles is some 100,000 containers that all die with it, and without it: none is part of a cycle.
# Python's defaults look through them a hundred times meanwhile, and through the modules loaded, which takes longer than
# to parse them. These thresholds still find cycles before they amount to much.
_THRESHOLDS = (50_000, 20, 100)


def tune_garbage_collector() -> None:
    """For a process that works on batches: skips what is loaded already, and looks at the rest less often.

    Every step that makes batches calls it in `setup()`, so it reaches every worker; a second call changes nothing. It
    does not collect first: imports leave a few dozen objects behind, and finding them takes up to 0.1 s.
    """
    if gc.get_threshold() != _THRESHOLDS:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
