"""How `pipeline.emulators.start` finds, installs, starts and ends the emulators.

    machine      what this computer has: Java, the Firestore emulator, a Python for the BigQuery emulator
    environment  the BigQuery emulator's own virtual environment, built once and cached
    processes    start a server on free ports, wait until it answers, end it
    postgresql   a PostgreSQL server, which ends with whoever started it
    s3           moto's S3 server
    guard        a script, never imported: the parent process of every server

The errors are for `pipeline.emulators.start`'s callers.
"""

from transforms.errors import FirebeamError


class EmulatorMissingError(FirebeamError):
    """This computer cannot run the emulator as it is; the message names the command that changes that."""


class EmulatorStartError(FirebeamError):
    """The emulator is installed but did not start; the message ends with what it logged last."""
