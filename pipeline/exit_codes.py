"""What the exit code of a job or command says to a scheduler."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2  # nothing was started
EXIT_DIFFERENT = 3  # of verify: the stores differ
EXIT_TOO_MANY_DEAD_LETTERS = 4  # or a file that could not be read to its end
EXIT_BATCHES_LEFT = 5  # of ingest: batches at a provider are still running, failed or undecided
EXIT_INTERRUPTED = 130  # the same command resumes the run
