"""Streams files shipped with Firebeam, and the one way to read any of them.

read_streams("candles", {"instruments": ["EUR_USD"]})    shipped
read_streams("mine.yaml")                                a local file, or one of any of Beam's file systems
"""

from collections.abc import Mapping, Sequence

from pipeline.yaml_files import YamlFiles
from transforms.listen.definitions import StreamsFile, load_streams

STREAMS = YamlFiles(__name__, "streams file", "streams file")


def read_streams(name_or_path: str, variables: Mapping[str, Sequence[str]] | None = None) -> StreamsFile:
    """The streams of a file, by the name of a shipped one or by path.

    Raises:
      SpecError: it cannot be used; says where and why.
      UsageError: there is no such file, or a variable is unknown or not set.
    """
    found = STREAMS.read(name_or_path)
    return load_streams(found.text, found.file, variables)
