"""The file that a run's summary is saved in, local or on Cloud Storage."""

from __future__ import annotations

from pathlib import Path

from pipeline.present.summary import Summary
from transforms import files
from transforms.errors import UsageError


def check_path(path: str, flag: str = "summary") -> None:
    """Raises UsageError if the file of a flag cannot be written. Leaves what is there as it is."""
    if not files.is_local(path):
        return
    target = Path(path)
    try:
        is_new = not target.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab"):
            pass
        if is_new:
            target.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write --{flag}={files.shown(path)}: {error.strerror}; name a file that can be written"
        ) from error


def save(summary: Summary, path: str) -> None:
    """Writes the summary as JSON, local or gs://. Raises OSError."""
    content = summary.as_json().encode()
    if files.is_local(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)
        return
    with files.replaced_file(path, "application/json") as file:
        file.write(content)
