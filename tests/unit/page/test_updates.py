"""An open page gets what has changed and no more; what is too much comes with the next updates."""

import dataclasses

import pytest

from pipeline.present.page.render import Rendered
from pipeline.present.page.updates import MAX_UPDATE_BYTES, Known, as_json, changes


def rendered(rows=("a", "b"), text="1", series=None):
    return Rendered(
        "job", "title", {}, {"headline": text}, {"batches": {key: f"<tr>{key}</tr>" for key in rows}}, series or {}
    )


def test_nothing_changed_is_only_a_version():
    page = rendered()
    update, known = changes(Known.of(page), page)
    assert update == {"version": known.version}


def test_a_page_that_has_nothing_gets_all():
    update, known = changes(Known(), rendered())
    assert update == {
        "version": known.version,
        "title": "title",
        "parts": {"headline": "1"},
        "rows": {"batches": {"changed": {"a": "<tr>a</tr>", "b": "<tr>b</tr>"}, "order": ["a", "b"]}},
        "series": {},
    }
    assert known == Known.of(rendered())


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (rendered(text="2"), {"parts": {"headline": "2"}}),
        (rendered(rows=("b", "a")), {"rows": {"batches": {"changed": {}, "order": ["b", "a"]}}}),
        (rendered(rows=("b",)), {"rows": {"batches": {"changed": {}, "order": ["b"]}}}),
        (
            rendered(rows=("a", "b", "c")),
            {"rows": {"batches": {"changed": {"c": "<tr>c</tr>"}, "order": ["a", "b", "c"]}}},
        ),
        (rendered(series={"n": [1]}), {"series": {"n": [1]}}),
    ],
    ids=["part", "order", "removed", "added", "series"],
)
def test_only_what_differs_is_sent(after, expected):
    update, known = changes(Known.of(rendered()), after)
    assert {name: value for name, value in update.items() if name != "version"} == expected
    assert known == Known.of(after)


def test_what_is_too_much_comes_later_and_in_the_end_all_is_there():
    keys = [f"row-{n}" for n in range(200)]
    page = dataclasses.replace(rendered(), rows={"batches": {key: f"<tr>{'é' * 600}{key}</tr>" for key in keys}})
    known, n_updates = Known(), 0
    while known != Known.of(page):
        update, known = changes(known, page)
        assert len(as_json(update).encode()) < MAX_UPDATE_BYTES
        n_updates += 1
        assert n_updates < 20
    assert n_updates > 2
