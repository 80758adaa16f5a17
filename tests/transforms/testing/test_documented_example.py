"""The example of docs/testing.md, as it stands there."""

import re
import textwrap
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"


def test_the_example_of_the_documentation_passes():
    example = re.search(r"(?: {4}.*\n|\n)+", PAGE.read_text(encoding="utf-8").partition("nothing else.\n")[2])
    names = {}
    exec(textwrap.dedent(example[0]), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    test()
