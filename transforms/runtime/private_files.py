"""Files that hold personal data: replaced as a whole, a local one readable by its owner only from its first byte on."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from apache_beam.io.filesystems import FileSystems


@contextmanager
def replaced_file(path: str, mime_type: str) -> Iterator[BinaryIO]:
    """Gives a file to write, which takes the place of `path` when the block ends well."""
    if FileSystems.get_scheme(path) is not None:
        with FileSystems.create(path, mime_type=mime_type) as remote:
            yield remote
        return
    parent = Path(path).parent
    parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=parent, prefix=".")  # mkstemp creates files with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as local:
            yield local
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
