"""The file that a run's summary is saved in, local or on Cloud Storage."""

from __future__ import annotations

from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from pipeline.present.summary import Summary
from transforms.errors import UsageError


def check_path(path: str, flag: str = "summary") -> None:
    """Raises UsageError if the file of a flag cannot be written. Leaves what is there as it is."""
    if FileSystems.get_scheme(path) is not None:
        return
    target = Path(path)
    is_new = not target.exists()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab"):
            pass
        if is_new:
            target.unlink()
    except OSError as error:
        raise UsageError(f"cannot write --{flag}={path}: {error.strerror}; name a file that can be written") from error


def save(summary: Summary, path: str) -> None:
    """Writes the summary as JSON, local or gs://. Raises OSError."""
    if FileSystems.get_scheme(path) is None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    with FileSystems.create(path, mime_type="application/json") as file:
        file.write(summary.as_json().encode())
