"""Where a secret is kept, in place of the secret: flags, jobs and logs hold only this.

    env:NAME                                   an environment variable
    file:PATH                                  a file, local or gs://
    secret:projects/P/secrets/S[/versions/V]   Google Cloud's Secret Manager; without version the latest

A flag is checked where a job is launched, and the secret is read where it is used, on a worker. A literal secret is
refused, and no message shows one.

    >>> parse_secret("env:OPENAI_API_KEY", "--api_key").read({"OPENAI_API_KEY": "sk-1"})
    'sk-1'
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transforms import files
from transforms.errors import JobError, TransientError, UsageError
from transforms.retry import Retry
from transforms.services import APPLICATION_DEFAULT, SIGN_IN

SECRET_MANAGER = "https://secretmanager.googleapis.com"  # noqa: S105  # an address
FORMS = "env:NAME, file:PATH or secret:projects/P/secrets/S"

_ENV, _FILE, _SECRET = "env:", "file:", "secret:"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# As variables are named. Whatever else stands there may be the secret itself, and is not shown.
_SHOWN_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_SECRET_NAME = re.compile(r"(projects/[^/\s]+/secrets/[\w-]{1,255})(/versions/[\w-]{1,255})?")
_MAX_BYTES = 65_536  # of a secret of Secret Manager: cloud.google.com/secret-manager/quotas
_TIMEOUT_S = 10.0
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class SecretSource:
    """Where a secret is. Picklable; holds no secret.

    Attributes:
      source: as a flag says it, such as `env:OPENAI_API_KEY`.
      flag: for messages.
    """

    source: str
    flag: str

    def read(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        credentials: Callable[[], Any] = APPLICATION_DEFAULT,  # frozen
        secret_manager: str = SECRET_MANAGER,
        retry: Retry = Retry(),  # noqa: B008  # frozen
    ) -> str:
        """The secret, without white space around it.

        Args:
          environ: where variables are looked up.
          credentials: for Secret Manager; returns what google.auth calls credentials.
          secret_manager: its address.

        Raises:
          JobError: there is none, or it may not be read; says where it was looked for.
          TransientError: Secret Manager did not answer well in the retries allowed.
        """
        kind, _, where = self.source.partition(":")
        if kind == "env":
            secret = environ.get(where, "")
            missing = f"the environment variable {_shown(where)} is not set"
        elif kind == "file":
            secret = self._from_file(where)
            missing = f"{files.shown(where)} is empty"
        else:
            secret = retry.call(
                lambda: _accessed(where, credentials, secret_manager),
                catch=TransientError,
                meaning=lambda error, attempts: error,
            )
            missing = f"{where} is empty"
        secret = secret.strip()
        if not secret:
            raise JobError(f"{missing}: put the secret there, or pass another {self.flag} ({FORMS})")
        if not (secret.isascii() and secret.isprintable()):
            raise JobError(f"{self.flag}={kind}:… holds more than a secret: it must be one line of printable ASCII")
        return secret

    def _from_file(self, path: str) -> str:
        try:
            with files.open_file(path) as file:
                content = file.read(_MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = files.reason(error)
            raise JobError(f"{self.flag}: {files.shown(path)} cannot be read ({reason}); check the path") from None
        if len(content) > _MAX_BYTES:
            raise JobError(f"{self.flag}: {files.shown(path)} has more than {_MAX_BYTES:,} bytes; is it a secret?")
        return str(content.decode("utf-8", "replace"))


def parse_secret(text: str, flag: str) -> SecretSource:
    """Reads a flag.

    Raises:
      UsageError: it does not say where a secret is. What it says may be one, and is not shown.

    >>> parse_secret("sk-123", "--api_key")
    Traceback (most recent call last):
    transforms.errors.UsageError: --api_key must say where the secret is kept: env:NAME, file:PATH or \
secret:projects/P/secrets/S. What was given is not shown, because it may be a secret
    """
    text = text.strip()
    if (
        (text.startswith(_ENV) and _VARIABLE.fullmatch(text.removeprefix(_ENV)))
        or (text.startswith(_FILE) and text.removeprefix(_FILE))
        or (text.startswith(_SECRET) and _SECRET_NAME.fullmatch(text.removeprefix(_SECRET)))
    ):
        return SecretSource(text, flag)
    raise UsageError(
        f"{flag} must say where the secret is kept: {FORMS}. What was given is not shown, because it may be a secret"
    )


def _shown(variable: str) -> str:
    return variable if _SHOWN_VARIABLE.fullmatch(variable) else "named there"


def _accessed(name: str, credentials: Callable[[], Any], secret_manager: str) -> str:
    """The payload of a version. Source: cloud.google.com/secret-manager/docs/reference/rest, versions.access."""
    import google.auth.exceptions
    import requests
    from google.auth.transport.requests import AuthorizedSession

    found = _SECRET_NAME.fullmatch(name)
    version = name if found and found[2] else f"{name}/versions/latest"
    try:
        with AuthorizedSession(credentials()) as session:
            answer = session.get(f"{secret_manager}/v1/{version}:access", timeout=_TIMEOUT_S)
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise JobError(f"{error} {SIGN_IN}") from None
    except (google.auth.exceptions.TransportError, requests.RequestException) as error:
        raise TransientError(f"Secret Manager did not answer: {type(error).__name__}") from None
    except google.auth.exceptions.GoogleAuthError as error:
        raise JobError(f"Secret Manager cannot be asked: {str(error.args[0]).rstrip('.')}. {SIGN_IN}") from None
    if answer.status_code in _TRANSIENT_STATUS:
        raise TransientError(f"Secret Manager answered {answer.status_code}")
    if answer.status_code in (401, 403):
        raise JobError(f"{name} may not be read: give the account roles/secretmanager.secretAccessor on it")
    if answer.status_code == 404:
        raise JobError(f"there is no secret {version}: create it, or check its name")
    if answer.status_code != 200:
        raise JobError(f"{version} cannot be read: Secret Manager answered {answer.status_code}; is it disabled?")
    try:
        return base64.b64decode(answer.json()["payload"]["data"], validate=True).decode()
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise TransientError("Secret Manager's answer holds no payload") from None
