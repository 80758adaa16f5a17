"""Files of YAML that are shipped with Firebeam, or a user's own: found by name or by path, and read as text.

SPECS.read("profiles")                shipped
SPECS.read("mine.yaml")               a local file
SPECS.read("gs://bucket/mine.yaml")   a file of any of Beam's file systems
"""

import re
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

from transforms import files
from transforms.errors import SpecError, UsageError
from transforms.records.yaml_nodes import MAX_BYTES

_SHIPPED_NAME = re.compile(r"[A-Za-z0-9_-]+")


class YamlText(NamedTuple):
    """A file that was read.

    Attributes:
      text: of the file.
      file: its path, or the name of the shipped one, for messages.
      is_shipped: whether it is shipped.
    """

    text: str
    file: str
    is_shipped: bool


@dataclass(frozen=True)
class YamlFiles:
    """The shipped files of one kind, and where those of users are.

    Attributes:
      package: that has the shipped ones.
      kind: what one is called in messages, such as `spec`.
      full_kind: the same, where more than the word is needed.
    """

    package: str
    kind: str
    full_kind: str

    @property
    def word(self) -> str:
        """The first word of the kind.

        >>> YamlFiles("pipeline.streams", "streams file", "streams file").word
        'streams'
        """
        return self.kind.partition(" ")[0]

    def names(self) -> list[str]:
        """Of the shipped ones, without `.yaml`."""
        found = (entry.name for entry in resources.files(self.package).iterdir())
        return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))

    def read(self, name_or_path: str) -> YamlText:
        """A file by the name of a shipped one, or by path.

        Raises:
          SpecError: it cannot be read.
          UsageError: nothing of this name is shipped; lists what is.
        """
        if not _SHIPPED_NAME.fullmatch(name_or_path):
            return YamlText(self.read_text(name_or_path), name_or_path, is_shipped=False)
        if name_or_path not in self.names():
            raise UsageError(
                f"there is no {self.kind} called {name_or_path!r}; shipped are {', '.join(self.names())}. "
                f"For a {self.kind} of your own give the path of its YAML file, such as ./my_{self.word}.yaml"
            )
        file = f"{name_or_path}.yaml"
        return YamlText(resources.files(self.package).joinpath(file).read_text("utf-8"), file, is_shipped=True)

    def read_text(self, path: str) -> str:
        """The text of a file. Raises SpecError."""
        shipped = f"shipped {self.kind}s are {', '.join(self.names())}"
        try:
            with files.open_file(path) as file:
                content = file.read(MAX_BYTES + 1)
        except Exception as error:  # every file system of Beam's has exceptions of its own
            raise SpecError(
                path, None, "", f"cannot be read ({type(error).__name__}); check the path; {shipped}"
            ) from error
        if len(content) > MAX_BYTES:
            raise SpecError(path, None, "", f"must not exceed {MAX_BYTES:,} bytes; is it a {self.full_kind}?")
        try:
            return str(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise SpecError(path, line, "", "is not UTF-8; save it as UTF-8 text") from None
