"""Both parsers make the same of a text, and what one of them refuses is said in the words of the exact one."""

from importlib import resources

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import pipeline.specs
import transforms.records
from transforms.records.yaml_loader import compose

SHIPPED = [
    file
    for package in (pipeline.specs, transforms.records)
    for file in resources.files(package).iterdir()
    if file.name.endswith(".yaml")
]


def tree(node):
    """Tags, values and lines of a node and all below it."""
    if isinstance(node, yaml.MappingNode):
        value = [(tree(key), tree(member)) for key, member in node.value]
    else:
        value = [tree(each) for each in node.value] if isinstance(node, yaml.SequenceNode) else node.value
    return node.tag, node.start_mark.line, value


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_file_is_what_the_exact_parser_makes_of_it(file):
    text = file.read_text("utf-8")
    assert tree(compose(text)) == tree(yaml.compose(text, Loader=yaml.SafeLoader))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=20,
)


@given(value=values, is_flow=st.booleans())
def test_a_text_is_what_the_exact_parser_makes_of_it(value, is_flow):
    text = yaml.safe_dump(value, default_flow_style=is_flow, allow_unicode=True)
    assert tree(compose(text)) == tree(yaml.compose(text, Loader=yaml.SafeLoader))


@pytest.mark.parametrize(
    "text", ["a: [1\nb: 2\n", "a: 1\n---\nb: 2\n", "a: \x07\n", "a: \ud800\n", "\t- a", "%x", "*a"]
)
def test_what_is_wrong_is_said_by_the_exact_parser(text):
    with pytest.raises(yaml.YAMLError) as exact:
        yaml.compose(text, Loader=yaml.SafeLoader)
    with pytest.raises(yaml.YAMLError) as found:
        compose(text)
    assert (type(found.value), str(found.value)) == (type(exact.value), str(exact.value))
