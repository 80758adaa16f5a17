"""The two ways in which `firebeam listen` is deployed to Cloud Run, as far as they can be held against the program."""

from pathlib import Path

import pytest
import yaml

from pipeline import JOBS
from pipeline.run.flags import from_environment, parse

TEMPLATES = Path(__file__).parents[3] / "templates"
FILES = ["listen-worker-pool.yaml", "listen-cloud-run.yaml"]


def container_of(name):
    (container,) = yaml.safe_load((TEMPLATES / name).read_text())["spec"]["template"]["spec"]["containers"]
    return container


def environment_of(name):
    return {variable["name"]: variable["value"] for variable in container_of(name)["env"]}


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_a_flag_of_listen_and_they_go_together(name):
    usage = JOBS["listen"].usage
    environ = environment_of(name)
    arguments = from_environment(usage, [], environ)
    config, rest = parse(usage, arguments)
    assert (config.project, config.streams, config.bigquery_table) == (
        "my-project",
        "candles",
        "my-project:market.candles",
    )
    assert config.stream_var == ("instruments=EUR_USD,GBP_USD", "granularities=H1,H4")
    assert rest == []
    assert len(arguments) == len(environ) + 1


@pytest.mark.parametrize("name", FILES)
def test_the_image_is_started_as_the_command(name):
    assert container_of(name)["command"] == ["firebeam", "listen"]


def test_there_is_one_instance_whose_cpu_is_always_allocated():
    pool, service = (yaml.safe_load((TEMPLATES / name).read_text()) for name in FILES)
    assert pool["metadata"]["annotations"]["run.googleapis.com/manualInstanceCount"] == "1"
    assert service["spec"]["template"]["metadata"]["annotations"] == {
        "autoscaling.knative.dev/minScale": "1",
        "autoscaling.knative.dev/maxScale": "1",
        "run.googleapis.com/cpu-throttling": "false",
    }


def test_the_service_is_probed_where_the_status_server_listens():
    container = container_of("listen-cloud-run.yaml")
    port = int(environment_of("listen-cloud-run.yaml")["FIREBEAM_PORT"])
    assert [each["containerPort"] for each in container["ports"]] == [port]
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": port}
    assert container["startupProbe"]["tcpSocket"] == {"port": port}
