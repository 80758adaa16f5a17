"""Record specs shipped with Firebeam, and the one way to read any spec.

read_spec("profiles")                   shipped
read_spec("mine.yaml")                  a local file
read_spec("gs://bucket/mine.yaml")      a file of any of Beam's file systems
"""

import posixpath
import re
from importlib import resources

from transforms import files
from transforms.errors import SpecError, UsageError
from transforms.records.spec import RecordSpec, load_spec
from transforms.records.yaml_nodes import MAX_BYTES

_SHIPPED_NAME = re.compile(r"[A-Za-z0-9_-]+")


def read_spec(name_or_path: str) -> RecordSpec:
    """A record spec by the name of a shipped one, or by path.

    Files that the spec names under `skill_alias_files` are read too; relative paths start at the spec's folder.

    Raises:
      SpecError: it cannot be used; says where and why.
      UsageError: there is no such spec; lists the shipped ones.
    """
    if _SHIPPED_NAME.fullmatch(name_or_path):
        return _read_shipped(name_or_path)
    return load_spec(_read_text(name_or_path), name_or_path, lambda file: _read_text(_beside(name_or_path, file)))


def shipped_specs() -> list[str]:
    """Names of the shipped specs.

    >>> shipped_specs()
    ['candles', 'profiles', 'student_records']
    """
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def _read_shipped(name: str) -> RecordSpec:
    if name not in shipped_specs():
        raise UsageError(
            f"there is no spec called {name!r}; shipped are {', '.join(shipped_specs())}. "
            "For a spec of your own give the path of its YAML file, such as ./my_spec.yaml"
        )
    file = f"{name}.yaml"
    return load_spec(resources.files(__name__).joinpath(file).read_text("utf-8"), file)


def _read_text(path: str) -> str:
    shipped = f"shipped specs are {', '.join(shipped_specs())}"
    try:
        with files.open_file(path) as file:
            content = file.read(MAX_BYTES + 1)
    except Exception as error:  # every file system of Beam's has exceptions of its own
        raise SpecError(
            path, None, "", f"cannot be read ({type(error).__name__}); check the path; {shipped}"
        ) from error
    if len(content) > MAX_BYTES:
        raise SpecError(path, None, "", f"must not exceed {MAX_BYTES:,} bytes; is it a record spec?")
    try:
        return str(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError(path, line, "", "is not UTF-8; save it as UTF-8 text") from None


def _beside(spec_path: str, file: str) -> str:
    """The path of a file that a spec names.

    Raises:
      SpecError: the spec came from elsewhere and names a file of this computer, or of another kind of place.

    >>> _beside("gs://bucket/specs/mine.yaml", "aliases.yaml"), _beside("mine.yaml", "gs://other/aliases.yaml")
    ('gs://bucket/specs/aliases.yaml', 'gs://other/aliases.yaml')
    >>> _beside("gs://bucket/specs/mine.yaml", "/etc/passwd")
    Traceback (most recent call last):
    transforms.errors.SpecError: /etc/passwd: is not beside it: a spec from gs:// can name files of gs:// only
    """
    absolute = "://" in file or posixpath.isabs(file)
    path = file if absolute else posixpath.join(posixpath.dirname(spec_path), file)
    scheme, separator, _ = spec_path.partition("://")
    if separator and not path.startswith(scheme + separator):
        raise SpecError(file, None, "", f"is not beside it: a spec from {scheme}:// can name files of {scheme}:// only")
    return path
