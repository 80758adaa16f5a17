"""Record specs shipped with Firebeam, and the one way to read any spec.

read_spec("profiles")                   shipped
read_spec("mine.yaml")                  a local file
read_spec("gs://bucket/mine.yaml")      a file of any of Beam's file systems
"""

import posixpath

from pipeline.yaml_files import YamlFiles
from transforms.errors import SpecError
from transforms.records.spec import RecordSpec, load_spec

SPECS = YamlFiles(__name__, "spec", "record spec")


def read_spec(name_or_path: str) -> RecordSpec:
    """A record spec by the name of a shipped one, or by path.

    Files that the spec names under `skill_alias_files` are read too; relative paths start at the spec's folder.

    Raises:
      SpecError: it cannot be used; says where and why.
      UsageError: there is no such spec; lists the shipped ones.
    """
    found = SPECS.read(name_or_path)
    if found.is_shipped:
        return load_spec(found.text, found.file)
    return load_spec(found.text, found.file, lambda file: SPECS.read_text(_beside(name_or_path, file)))


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
