"""The kinds of dead letters, which are the folders they are stored in. Plain Python, for flags.

retryable    the record is fine; the same command may store it later
permanent    the record, the spec or a limit has to change first
"""

RETRYABLE, PERMANENT = "retryable", "permanent"
KINDS = (RETRYABLE, PERMANENT)
