"""Paths that records have, and which of them look like those that a spec names."""

import time

import pytest

from transforms.records.nearest import closest, paths_of

RECORD = {
    "profile": {"fullName": "Ada", "yearsOfExperience": 7, "skill_list": [{"name": "Go", "level": 3}]},
    "experiance": 5,
    "job": {"current_company": "Vela", "title": "Head"},
    "notes": [],
    "tags": ["a"],
}


def test_paths_are_written_as_a_spec_writes_them():
    assert paths_of(RECORD) == [
        "experiance", "notes", "tags", "profile.fullName", "profile.yearsOfExperience", "job.current_company",
        "job.title", "profile.skill_list[].name", "profile.skill_list[].level",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "best"),
    [
        (["years_experience"], "profile.yearsOfExperience"),
        (["full_name"], "profile.fullName"),
        (["experience"], "experiance"),
        (["company", "employer"], "job.current_company"),
        (["profile.skills[].name"], "profile.skill_list[].name"),
        (["current_position.title"], "job.title"),
        (["Tags"], "tags"),
    ],
)
def test_the_closest_path_is_what_a_person_would_point_at(wanted, best):
    assert closest(wanted, paths_of(RECORD))[0] == best


def test_where_nothing_is_alike_nothing_is_named():
    assert closest(["born_at"], paths_of(RECORD)) == []
    assert closest([], paths_of(RECORD)) == []
    assert closest(["a"], []) == []


def test_at_most_three_are_named():
    assert len(closest(["name"], [f"p{number}.name" for number in range(9)])) == 3


def test_a_record_beyond_all_bounds_is_looked_at_in_bounded_time():
    deep: object = 1
    for _ in range(10_000):
        deep = {"a": deep}
    started = time.process_time()
    wide = {f"key {number}": {"b": number} for number in range(100_000)}
    assert len(paths_of(wide)) == 2_000
    assert len(paths_of({"deep": deep, "wide": wide})) <= 2_000
    closest(["key"], paths_of(wide))
    assert time.process_time() - started < 5
