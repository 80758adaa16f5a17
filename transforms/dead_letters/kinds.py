"""The kinds of dead letters: their folders, and whether a replay may succeed without a corrected record or spec."""

KINDS = {"retryable": True, "permanent": False}
