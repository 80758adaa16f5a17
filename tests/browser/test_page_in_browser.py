"""The status page as a browser shows it: from a server, as a file, without JavaScript, by keyboard, to axe."""

import datetime
import socket

import pytest
from axe_playwright_python.sync_playwright import Axe

from pipeline.present.page.document import job_document
from pipeline.present.page.render import file, render_job
from pipeline.serve.reading import JobReader
from tests.support.page_ledgers import after, ledger_of, own_batch, provider_batch
from tests.support.page_server import page_server
from transforms.ledger.jobs import job_document as document_of
from transforms.testing import ScriptedFirestore

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202egnp.exe"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def running(n=60, **more):
    return ledger_of(n, state="running", ends_at=now(), **more)


@pytest.fixture
def ledger():
    documents = running(job_id="ingest-1") | ledger_of(300, job_id="ingest-2", state="failed", error="no such table")
    documents |= ledger_of(9, job_id="ingest-3", at_provider=False) | ledger_of(0, job_id="ingest-4")
    with ScriptedFirestore(documents) as server:
        yield server


@pytest.fixture
def url(ledger):
    with page_server(ledger.target) as port:
        yield f"http://127.0.0.1:{port}"


def html_of(documents, path):
    with ScriptedFirestore(documents) as server:
        data = JobReader(document_of(server.target.connect(), "ingest-1")).read()
    path.write_text(file(render_job(job_document(data, show_ids=False))))
    return path.as_uri()


@pytest.mark.parametrize(
    ("job", "bars", "density"), [("ingest-1", 60, False), ("ingest-2", 200, True), ("ingest-3", 9, False)]
)
def test_a_job_has_a_bar_and_a_row_for_each_batch(opened, url, job, bars, density):
    seen = opened(f"{url}/jobs/{job}")
    assert seen.n(".bar") == seen.n('tbody[data-rows="batches"] tr') == bars
    assert (seen.n(".density rect") > 0) is density
    assert seen.n('[data-plot="rates"] svg') == seen.n('[data-plot="latency"] svg') == 1
    assert seen.complaints == []
    assert seen.hosts == {url.removeprefix("http://")}


def test_a_job_without_batches_says_so_and_draws_nothing_of_them(opened, url):
    seen = opened(f"{url}/jobs/ingest-4")
    assert "0 in all" in seen.page.inner_text('[data-part="batches"]')
    assert seen.n(".bar") == 0
    assert seen.complaints == []


def test_failed_batches_have_a_cross_and_their_reason(opened, url):
    seen = opened(f"{url}/jobs/ingest-1")
    failed = seen.n('tr[data-phase="failed"]')
    assert failed > 0
    assert seen.page.locator('[data-plot="batches"] svg text', has_text="✕").count() == failed
    assert "the batch could not be processed" in seen.page.text_content('tr[data-phase="failed"]')


def test_a_bar_that_is_chosen_shows_its_row(opened, url):
    page = opened(f"{url}/jobs/ingest-1").page
    page.locator(".bar").nth(5).dispatch_event("click")
    assert page.inner_text("#chosen").startswith("Batch\nbatch_68a1000005")
    assert page.locator("tr.is-chosen").get_attribute("data-key") == "fb-000005"
    page.locator(".bar").nth(5).dispatch_event("click")
    assert page.is_hidden("#chosen")


def test_the_jobs_lead_to_a_job_and_can_be_filtered_in_the_address(opened, url):
    seen = opened(f"{url}/")
    page = seen.page
    assert seen.n('tbody[data-rows="jobs"] tr') == 4
    page.select_option("select[name=state]", "failed")
    page.click("text=Show")
    assert "state=failed" in page.url
    assert seen.n('tbody[data-rows="jobs"] tr') == 1
    page.click("text=ingest-2")
    assert page.url == f"{url}/jobs/ingest-2"
    assert "no such table" in page.inner_text(".error")
    assert seen.complaints == []


def test_what_changes_in_the_ledger_changes_on_the_page(opened, ledger, url):
    seen = opened(f"{url}/jobs/ingest-1")
    page, path = seen.page, "pipeline_jobs/ingest-1"
    page.wait_for_selector("#live.on")
    assert page.get_attribute('tr[data-key="fb-000055"]', "data-phase") == "waiting"
    page.evaluate("window.opened_once = true")
    ledger.put(
        {
            f"{path}/provider_batches/fb-000055": provider_batch(55, "completed", after(-22.3, now()), 20),
            f"{path}/provider_batches/fb-000099": provider_batch(99, "running", after(-3, now()), 20),
            f"{path}/batches/fb-000055": own_batch(after(-5, now()), 2),
        }
    )
    page.wait_for_selector('tr[data-key="fb-000055"][data-phase="done"]', state="attached")
    page.wait_for_function("document.querySelectorAll('.bar').length === 61")
    page.wait_for_function("document.querySelector('.sum .figure-n').textContent === '23,000'")
    assert "46 done" in page.inner_text('[data-part="batches"]')
    assert page.evaluate("window.opened_once")
    assert seen.complaints == []


def test_a_server_that_is_gone_is_said_and_found_again(opened, ledger):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with page_server(ledger.target, port=port):
        seen = opened(f"http://127.0.0.1:{port}/jobs/ingest-1")
        seen.page.wait_for_selector("#live.on")
    seen.page.wait_for_selector("#live.lost")
    assert "Connection lost" in seen.page.inner_text("#live")
    with page_server(ledger.target, port=port):
        seen.page.wait_for_selector("#live.on")
        assert seen.n(".bar") == 60
    assert seen.complaints == []


def test_texts_of_the_ledger_run_no_script_and_stay_in_their_place(opened, tmp_path):
    documents = ledger_of(5, state="failed", error=HOSTILE * 50)
    wrong = {"error_code": HOSTILE, "error_text": HOSTILE * 50, "remote_id": HOSTILE}
    documents["pipeline_jobs/ingest-1/provider_batches/fb-000001"] = provider_batch(1, "failed", after(3), 4, **wrong)
    seen = opened(html_of(documents, tmp_path / "page.html"))
    assert seen.page.title().startswith("ingest-1")
    assert HOSTILE[:40] in seen.page.text_content('tr[data-key="fb-000001"]')
    assert seen.n("img") == 0
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert seen.complaints == []


def test_the_file_needs_no_server_and_no_network(opened, tmp_path):
    seen = opened(html_of(running(), tmp_path / "page.html"), offline=True)
    assert seen.n(".bar") == 60
    assert seen.complaints == []
    assert seen.hosts == {"file"}


@pytest.mark.parametrize("from_file", [True, False])
def test_without_javascript_every_number_is_there(opened, url, tmp_path, from_file):
    where = html_of(running(), tmp_path / "page.html") if from_file else f"{url}/jobs/ingest-1"
    seen = opened(where, java_script_enabled=False)
    assert seen.n(".bar") == 0
    assert seen.n('tbody[data-rows="batches"] tr') == 60
    assert seen.n('tbody[data-rows="over_time"] tr') > 20
    assert "22,500" in seen.page.inner_text(".sum")
    assert seen.page.is_hidden("[data-plot=batches]")
    assert seen.page.is_hidden(".copy >> nth=0")


@pytest.mark.parametrize("path", ["/", "/jobs/ingest-1", "/jobs/ingest-4"])
def test_axe_finds_nothing_to_complain_about(opened, url, path):
    page = opened(f"{url}{path}").page
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true }")
    if path == "/jobs/ingest-1":
        page.locator(".bar").first.dispatch_event("click")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in found] == [], scheme


@pytest.mark.parametrize("path", ["/", "/jobs/ingest-1", "/jobs/ingest-2"])
def test_nothing_is_wider_than_the_screen(opened, url, path):
    page = opened(f"{url}{path}").page
    for width in (2560, 1280, 768, 360):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")


def test_everything_can_be_reached_and_done_by_keyboard(opened, url):
    page = opened(f"{url}/jobs/ingest-1").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.plot") == "batches":
            break
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.locator("tr.is-chosen").get_attribute("data-key") == "fb-000001"
    assert "batch_68a1000001" in page.inner_text("#chosen")
    page.keyboard.press("Escape")
    assert page.is_hidden("#chosen")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.is_visible('tbody[data-rows="batches"]')


def test_a_choice_survives_an_update(opened, ledger, url):
    page = opened(f"{url}/jobs/ingest-1").page
    page.wait_for_selector("#live.on")
    page.locator(".bar").nth(3).dispatch_event("click")
    done = provider_batch(55, "completed", after(-22.3, now()), 20)
    ledger.put({"pipeline_jobs/ingest-1/provider_batches/fb-000055": done})
    page.wait_for_selector('tr[data-key="fb-000055"][data-phase="done"]', state="attached")
    assert page.locator("tr.is-chosen").get_attribute("data-key") == "fb-000003"
    assert page.is_visible("#chosen")
