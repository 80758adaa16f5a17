"""What firebeam listen refuses before anything starts, in one line with the fix; and where its streams begin."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import JOBS
from pipeline.jobs import listen
from pipeline.run.flags import from_environment, parse
from pipeline.run.runners import beam_options, refuse_several_workers
from transforms.errors import UsageError
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.times import from_micros
from transforms.ledger.owners import Owner
from transforms.ledger.runs import Opening
from transforms.ledger.streams import claim, stream_document
from transforms.listen.counters import CHANGES
from transforms.testing import PROJECT, ScriptedFirestore

TABLE = "--bigquery_table=p-1a:d.t"
USERS = ("--collection=users", TABLE, "--job_id=listen-1")
LONG_AGO, NOW = from_micros(1_700_000_000_000_000), from_micros(1_800_000_000_000_000)


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield server


def plan_of(*flags):
    config, rest = parse(listen.USAGE, [f"--project={PROJECT}", *flags])
    return listen.prepare(config, PipelineOptions(rest))


def saved(server, position, *flags):
    """A run of these flags that has come so far."""
    (stream,) = plan_of(*USERS, *flags).streams
    document = stream_document(server.target.connect(), "listen-1", stream.stream_id)
    claim(document, stream.description, Owner(), 1, position, CHANGES)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([TABLE], "nothing to listen to: pass --collection=users, --collection_group=posts, or --streams with a "
                  "streams file"),
        (["--collection=users"], "changes go nowhere: pass --bigquery_table=PROJECT:DATASET.TABLE, "),
        (
            ["--collection=candles/EUR_USD/H1/data", TABLE],
            "'candles/EUR_USD/H1/data' names a document; did you mean its collection, candles/EUR_USD/H1, or one below "
            "it, candles/EUR_USD/H1/data/COLLECTION?",
        ),
        (["--collection=users", TABLE, "--where=age"], "a condition is FIELD OPERATOR VALUE, such as 'age >= 21', "),
        (["--collection=users", "--bigquery_table=d.t"], "a BigQuery table is named PROJECT:DATASET.TABLE, "),
        (["--collection=users/ada/x", "--collection_group=x", TABLE], "**/x means the documents of "),
        (["--streams=candles", "--where=a == 1", TABLE], "--streams says what is listened to; leave --where out, "),
        (["--stream_var=a=b", TABLE], "--stream_var sets a variable of a streams file; name that with --streams"),
        (
            ["--streams=candles", "--stream_var=instrument=A", TABLE],
            "--stream_var=instrument: candles.yaml has no variable of that name; did you mean instruments?",
        ),
        (["--collection=users", "--handler=nothing_of_mine:f"],
         "--handler=nothing_of_mine:f: there is no module nothing_of_mine; run in its directory, or add that to "),
        (["--collection=users", "--to=spec"], "--to=spec writes the documents of a record spec; pass --spec=NAME, or "),
        (["--collection=users", "--to=users"], "--to must be firestore://COLLECTION, such as firestore://copies, got "),
        (["--collection=users", "--to=firestore://users"], "--to: users is what stream users listens to, so the "),
        (["--collection=users", "--to=spec", "--spec=profiles"],
         "--to=spec: ids of the spec profiles come from fields of the records, which a deleted document no "),
        (["--collection=users", "--pubsub_topic=a/b"], "a Pub/Sub topic is named projects/PROJECT/topics/TOPIC, or "),
        (["--streams=nowhere.yaml", TABLE], "nowhere.yaml: cannot be read (FileNotFoundError); check the path; "),
        (["--collection=users/{deleted_at}/x", TABLE], "columns deleted_at and deleted_at are one for BigQuery, "),
        ([*USERS, "--start=resume"], "stream users has no saved position to resume from; leave out --start, or pass "
                                     "--start=snapshot or --start=now"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_in_one_line_with_the_fix(server, flags, message):
    with pytest.raises(UsageError) as refused:
        plan_of(*flags)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
    assert server.documents.keys() == set()


@pytest.mark.parametrize(
    ("then", "now", "what"),
    [
        (["--spec=candles"], ["--spec=profiles"], "record spec"),
        ([], ["--spec=candles"], "record spec"),
        ([], ["--where=age > 3"], "query"),
        (["--fields=age"], [], "query"),
    ],
)
def test_a_position_is_not_resumed_under_another_spec_or_query(server, then, now, what):
    saved(server, Follow(LONG_AGO), *then)
    with pytest.raises(
        UsageError, match=f"the {what} of stream users has changed since its position was saved; put it"
    ):
        plan_of(*USERS, *now)
    plan_of(*USERS, *now, "--start=snapshot")
    plan_of(*USERS, *now, "--restart")
    plan_of(*USERS, *then)


def test_a_stream_that_was_claimed_but_saved_nothing_begins_with_a_snapshot(server):
    saved(server, None)
    assert plan_of(*USERS).opened(Opening(1, NOW, resumed=True)).positions == ()


def test_streams_resume_where_they_were_saved_unless_told_otherwise(server):
    saved(server, Follow(LONG_AGO))
    next_run = Opening(2, NOW, resumed=False)
    assert plan_of(*USERS).opened(next_run).positions == (("users", Follow(LONG_AGO)),)
    assert plan_of(*USERS, "--start=snapshot").opened(next_run).positions == ()
    from_now = plan_of(*USERS, "--start=now")
    assert from_now.opened(next_run).positions == (("users", Follow(from_now.now)),)


@pytest.mark.parametrize("start", ["snapshot", "now"])
def test_a_run_that_was_killed_resumes_whatever_it_began_with(server, start):
    saved(server, Follow(LONG_AGO))
    plan = plan_of(*USERS, f"--start={start}")
    assert plan.opened(Opening(1, NOW, resumed=True)).positions == (("users", Follow(LONG_AGO)),)


def test_the_command_that_resumes_a_stopped_run_says_so():
    assert parse(listen.USAGE, ["--start=snapshot"])[0].to_resume() == ["--start=resume"]
    assert parse(listen.USAGE, ["--restart"])[0].to_resume() == ["--restart=false"]
    assert parse(listen.USAGE, [])[0].to_resume() == []


def test_every_flag_may_be_set_in_the_environment_and_what_is_given_wins():
    environ = {"FIREBEAM_COLLECTION": "users,teams", "FIREBEAM_ONCE": "true", "FIREBEAM_SAVE_INTERVAL_S": "9"}
    config, _ = parse(listen.USAGE, from_environment(listen.USAGE, ["--save_interval_s=1"], environ))
    assert (config.collection, config.once, config.save_interval_s) == (("users", "teams"), True, 1)
    assert not JOBS["ingest"].streaming


@pytest.mark.parametrize(
    "flags", [["--direct_num_workers=2"], ["--direct_num_workers=0"], ["--direct_running_mode=multi_processing"]]
)
def test_more_than_one_worker_is_refused_here_as_it_loses_changes(flags):
    config, rest = parse(listen.USAGE, [*USERS, *flags])
    with pytest.raises(UsageError, match=r"with more, Beam's local runner drops changes; leave out --direct_num_wor"):
        refuse_several_workers(beam_options(listen.USAGE, config, rest))
    refuse_several_workers(beam_options(listen.USAGE, config, []))


def test_streams_of_candles_have_parameters_priorities_and_their_spec(server):
    plan = plan_of("--streams=candles", "--stream_var=instruments=EUR_USD", TABLE)
    assert [stream.stream_id for stream in plan.streams] == ["candles-EUR_USD-H1", "candles-EUR_USD-H4"]
    first = plan.streams[0]
    assert first.settings.parameters_of("candles/EUR_USD/H1/17") == {"instrument": "EUR_USD", "granularity": "H1"}
    assert (first.description.priority, first.description.query) == ("high", "candles/EUR_USD/H1 and complete == True")
    assert (plan.spec.name, plan.tables.parameters) == ("candles", ("instrument", "granularity"))
