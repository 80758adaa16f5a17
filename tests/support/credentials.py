"""Application-default credentials that never expire and open nothing.

Without any, Google's libraries ask the metadata server first, which takes every process about 20 s outside of Google's
cloud.
"""

from __future__ import annotations

import json
from pathlib import Path

_FAKE = {
    "type": "authorized_user",
    "client_id": "fake.apps.googleusercontent.com",
    "client_secret": "fake",
    "refresh_token": "fake",
    "token": "fake",
    "expiry": "2099-01-01T00:00:00Z",
    "quota_project_id": "demo-firebeam",
}


def write_credentials(folder: Path, token: str = "fake") -> Path:
    """Writes the file that GOOGLE_APPLICATION_CREDENTIALS should name."""
    file = folder / "application_default_credentials.json"
    file.write_text(json.dumps({**_FAKE, "token": token, "refresh_token": token}))
    return file
