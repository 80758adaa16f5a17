"""What `firebeam doctor` looks at beside the services. Each probe returns what it found, or raises how to fix it."""

from __future__ import annotations

import socket
import urllib.parse

from transforms.errors import JobError
from transforms.files import is_local
from transforms.services import Credentials

SIGN_IN = "Sign in: gcloud auth application-default login, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"

_LET_IMPERSONATE = "to act as {}, your account needs roles/iam.serviceAccountTokenCreator on it"


def reach(variable: str, address: str, timeout_s: float) -> str:
    """Opens a connection to the emulator that an environment variable names, and closes it."""
    try:
        url = urllib.parse.urlsplit(address if "://" in address else f"//{address}")
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise JobError(f"{variable} must be HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise JobError(f"nothing answers at {address} ({reason}): start the emulator, or unset {variable}") from error
    return f"{address} answers"


def find_account(impersonated: str | None = None) -> str:
    """Finds the credentials of the account to impersonate, or one's own, and a valid token for them."""
    import google.auth.transport.requests
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials = Credentials(impersonated)()
        if not credentials.valid:
            credentials.refresh(google.auth.transport.requests.Request())
    except GoogleAuthError as error:
        # Not the whole of it: what follows the first argument is the server's answer as it came.
        advice = f"{SIGN_IN}; {_LET_IMPERSONATE.format(impersonated)}" if impersonated else SIGN_IN
        raise JobError(f"{str(error.args[0]).rstrip('.')}. {advice}") from error
    email = getattr(credentials, "service_account_email", None)
    return f"service account {email}" if email else "an account signed in with gcloud"


def use_folder(folder: str, account: str | None = None) -> str:
    """Writes an empty file there and deletes it, as an account to impersonate or one's own."""
    from transforms.dead_letters.folder import DeadLetterFolder

    if not is_local(folder):  # Beam takes seconds to import
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import PipelineOptions

        FileSystems.set_options(PipelineOptions([f"--impersonate_service_account={account}"] if account else []))
    DeadLetterFolder(folder).check_writable()
    return f"{folder} can be written"
