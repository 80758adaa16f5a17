"""Streams files: what they stand for, and every mistake in one line with its place and its remedy."""

import pytest

from pipeline.streams import STREAMS, read_streams
from transforms.errors import SpecError, UsageError
from transforms.firestore.query import Condition, Query
from transforms.listen.definitions import MAX_STREAMS, StreamDefinition, load_streams, parse_variables

GOOD = """\
variables:
  pairs: [EUR_USD, GBP_USD]
  lengths: [H1, H4]
streams:
  - id: c-{pair}-{length}
    for_each: {pair: pairs, length: lengths}
    path: candles/{pair}/{length}
    where: [complete == true, 'feed == {pair}']
    fields: [o, c]
    priority: {by: length, values: {H1: high}, otherwise: low}
    parameters: {feed: 'f-{pair}'}
  - path: users
"""
CANDLES = Query("candles/EUR_USD/H1").where("complete", "==", True).where("feed", "==", "EUR_USD").select("o", "c")


def test_an_entry_is_a_stream_for_each_combination_of_its_variables():
    found = load_streams(GOOD, "a.yaml")
    assert [stream.stream_id for stream in found.streams] == [
        "c-EUR_USD-H1", "c-EUR_USD-H4", "c-GBP_USD-H1", "c-GBP_USD-H4", "users",
    ]  # fmt: skip
    parameters = {"pair": "EUR_USD", "length": "H1", "feed": "f-EUR_USD"}
    assert found.streams[0] == StreamDefinition("c-EUR_USD-H1", CANDLES, parameters, "high")
    assert found.streams[1].priority == "low"
    assert found.streams[-1] == StreamDefinition("users", Query("users"), {})


def test_given_values_take_the_place_of_the_files_own():
    found = load_streams(GOOD, "a.yaml", parse_variables(["pairs=NZD_USD, NZD_USD", "lengths=W"]))
    assert [stream.stream_id for stream in found.streams] == ["c-NZD_USD-W", "users"]


def test_the_shipped_candles_are_five_pairs_at_two_lengths_that_are_closed():
    assert STREAMS.names() == ["candles"]
    found = read_streams("candles")
    assert (found.spec, found.max_changes_per_min, len(found.streams)) == ("candles", 1000, 10)
    assert {stream.query.filters for stream in found.streams} == {(Condition("complete", "==", True),)}
    assert found.streams[0].query.collection == "candles/EUR_USD/H1"
    assert found.streams[0].parameters == {"instrument": "EUR_USD", "granularity": "H1"}
    assert [stream.priority for stream in found.streams[:2]] == ["high", "medium"]
    chosen = read_streams("candles", {"instruments": ["BTC_USD"], "granularities": ["D", "X9"]})
    assert [(stream.stream_id, stream.priority) for stream in chosen.streams] == [
        ("candles-BTC_USD-D", "low"),
        ("candles-BTC_USD-X9", "medium"),
    ]


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        ("candles/{pair}/{length}", "candles/{pair}/{length}/data",
         "7:streams[0].path: 'candles/{pair}/{length}/data' names a document; did you mean its collection, "
         "candles/{pair}/{length}, or one below it, candles/{pair}/{length}/data/COLLECTION?"),
        ("candles/{pair}/{length}", "candles/{pairs}/{length}",
         "7:streams[0].path: {pairs} is not set; add pairs to for_each; did you mean pair? Known: pair, length"),
        ("path: users", "path: users/{user}/posts", "12:streams[1].path: {user} is not set; add user to for_each"),
        ("pair: pairs", "pair: pair",
         "6:streams[0].for_each.pair: 'pair' is not a variable; did you mean pairs? Known: pairs, lengths"),
        ("pair: pairs,", "2nd: pairs,", "6:streams[0].for_each.2nd: '2nd' is not a name; use letters, digits and _"),
        ("c-{pair}-{length}", "c-{pair}",
         "5:streams[0]: makes two streams with the id 'c-EUR_USD'; put every variable of for_each into id, in braces"),
        ("path: users", "{id: c-GBP_USD-H4, path: users}",
         "12:streams[1]: makes a second stream with the id 'c-GBP_USD-H4', after line 5; give each an id of its own"),
        ("H1: high", "H1: urgent",
         "10:streams[0].priority.values.H1: unknown priority 'urgent'; use one of critical, high, medium, low"),
        ("path: users", "{path: users, priority: 1}", "12:streams[1].priority: must be text, got a whole number"),
        ("path: users", "{path: users, priority: asap}",
         "12:streams[1].priority: unknown priority 'asap'; use one of critical, high, medium, low"),
        ("path: users", "{path: users, priority: {by: x, values: {}, otherwise: low}}",
         "12:streams[1].priority.by: names a variable of for_each, and there is none; write one priority"),
        ("by: length", "by: feed", "10:streams[0].priority.by: 'feed' is not known; known: pair, length"),
        (", otherwise: low", "", "10:streams[0].priority: 'otherwise' is missing here; add it"),
        ("complete == true", "complete = true", "8:streams[0].where[0]: a condition is FIELD OPERATOR VALUE"),
        ("[o, c]", "['a..b']", "9:streams[0].fields: "),
        ("{feed: ", "{pair: ", "11:streams[0].parameters.pair: pair is also in for_each; choose another name"),
        ("{feed: ", "{a-b: ", "11:streams[0].parameters.a-b: 'a-b' is not a name; use letters, digits and _"),
        ("EUR_USD,", "EUR/USD,", '2:variables.pairs[0]: must not contain "/"'),
        ("[H1, H4]", "[]", "3:variables.lengths: must not be empty"),
        ("[H1, H4]", "[1]", "3:variables.lengths[0]: must be text, got a whole number; put it in quotes"),
        ("streams:", "max_changes_per_min: 0\nstreams:", "4:max_changes_per_min: must be in [1, 1000000], got 0"),
        ("streams:", "stream:", "5:stream: unknown key; did you mean streams?"),
        ("  - path: users", "  - id: users", "12:streams[1]: 'path' is missing here; add it"),
        ("path: users", f"path: {'x' * 301}", "12:streams[1].path: a stream's id has at most 300 characters"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_line_key_and_remedy(replaced, by, message):
    assert replaced in GOOD
    with pytest.raises(SpecError) as caught:
        load_streams(GOOD.replace(replaced, by, 1), "a.yaml")
    assert str(caught.value).startswith(f"a.yaml:{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pair": ["x"]},
         "--stream_var=pair: a.yaml has no variable of that name; did you mean pairs? Known: pairs, lengths"),
        ({"pairs": ["EUR/USD"]}, '--stream_var=pairs: \'EUR/USD\' must not contain "/"'),
        ({"pairs": ["__x__"]}, "--stream_var=pairs: '__x__' must not have the form __…__, which Firestore keeps for"),
    ],
)  # fmt: skip
def test_a_variable_that_cannot_be_set_is_refused(given, message):
    with pytest.raises(UsageError) as caught:
        load_streams(GOOD, "a.yaml", given)
    assert str(caught.value).startswith(message)


def test_a_variable_that_must_be_set_is_asked_for():
    text = GOOD.replace("lengths: [H1, H4]", "lengths:")
    with pytest.raises(UsageError) as caught:
        load_streams(text, "a.yaml")
    assert str(caught.value) == "a.yaml leaves the variable lengths to be set: pass --stream_var=lengths=VALUE,VALUE"
    assert len(load_streams(text, "a.yaml", {"lengths": ["D"]}).streams) == 3


def test_a_file_without_variables_says_so():
    with pytest.raises(UsageError, match=r"^--stream_var=a: b\.yaml has no variable of that name; it has none$"):
        load_streams("streams: [{path: users}]", "b.yaml", {"a": ["x"]})
    with pytest.raises(SpecError, match=r"'a' is not a variable; the file has no variables$"):
        load_streams("streams: [{path: users, for_each: {a: a}}]", "b.yaml")


def test_a_file_cannot_stand_for_more_streams_than_a_job_can_have():
    with pytest.raises(SpecError, match=r"makes more than 1,000 streams with those before; divide them among several"):
        load_streams(GOOD, "a.yaml", {"pairs": [f"p{n}" for n in range(MAX_STREAMS)]})


@pytest.mark.parametrize("texts", [["pairs"], ["=a"], ["pairs="], ["pairs=a,,b"], ["pairs=a", "pairs=b"]])
def test_a_flag_that_sets_nothing_is_refused(texts):
    with pytest.raises(UsageError, match=r"^--stream_var (must be like|sets pairs twice)"):
        parse_variables(texts)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "candle",
            "there is no streams file called 'candle'; shipped are candles. For a streams file of your own give",
        ),
        (
            "./none.yaml",
            "./none.yaml: cannot be read (FileNotFoundError); check the path; shipped streams files are cand",
        ),
    ],
)
def test_a_file_that_is_not_there_lists_the_shipped_ones(name, message):
    with pytest.raises(UsageError) as caught:
        read_streams(name)
    assert str(caught.value).startswith(message)
