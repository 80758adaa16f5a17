"""Alias tables of skills: the one that comes with Firebeam, and what a spec adds to it.

skill_aliases: {Kubernetes: [kubernetes cluster], Acme Flow: [aflow]}
skill_alias_files: [more_aliases.yaml]

>>> shipped_skill_table().clean(["js", "k8s", "golang"])
['JavaScript', 'Kubernetes', 'Go']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources

from transforms.errors import SpecError
from transforms.records.skills import AliasConflictError, SkillTable
from transforms.records.yaml_nodes import YamlNode, parse_yaml

SHIPPED_ALIASES = "skill_aliases.yaml"


@lru_cache(maxsize=1)
def shipped_skill_table() -> SkillTable:
    """The alias table that comes with Firebeam."""
    text = resources.files(__package__).joinpath(SHIPPED_ALIASES).read_text("utf-8")
    return _extended(SkillTable(), parse_yaml(text, SHIPPED_ALIASES))


def read_skill_table(top: Mapping[str, YamlNode], read_file: Callable[[str], str] | None) -> SkillTable:
    """The shipped table with what a spec adds under `skill_alias_files` and `skill_aliases`.

    Raises:
      SpecError: a file cannot be read, or a name would mean two skills.
    """
    table = shipped_skill_table()
    for node in top["skill_alias_files"].entries() if "skill_alias_files" in top else ():
        if read_file is None:
            node.fail("cannot be read from here; write the aliases under skill_aliases instead")
        path = node.text()
        try:
            text = read_file(path)
        except SpecError as error:
            node.fail(f"{path} {error.problem}")
        table = _extended_by_file(table, text, path)
    return _extended(table, top["skill_aliases"]) if "skill_aliases" in top else table


def _extended_by_file(table: SkillTable, text: str, path: str) -> SkillTable:
    """What is wrong is said without a word of the file's: a spec may name a file that its author may not read."""
    try:
        return _extended(table, parse_yaml(text, path))
    except SpecError as error:
        raise SpecError(
            path, error.line, "", "is no list of skills; write SKILL: [OTHER NAME, OTHER NAME], each name for one skill"
        ) from None


def _extended(table: SkillTable, node: YamlNode) -> SkillTable:
    """One skill at a time, so that a conflict is reported where it stands."""
    for skill, aliases in node.items().items():
        try:
            table = table.extended({skill: [alias.text() for alias in aliases.entries()]})
        except AliasConflictError as error:
            aliases.fail(f"{error}; remove one of them")
    return table
