"""`make diagnose`: what it makes of Docker's answers, where it looks, and how it fails."""

import json
import os
import stat
import time
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from engine.root import CHECKOUT
from engine.table import Paint
from scripts.diagnose.__main__ import main
from scripts.diagnose.pods import Pod, pods
from scripts.diagnose.remote import Docker, DockerError
from scripts.diagnose.report import Place, render
from scripts.diagnose.stack import stack_settings
from scripts.diagnose.state import containers, visible, visible_lines
from topology.catalog import SERVICES
from topology.graph import GATEWAY, Graph
from topology.nodes import NODES

SECRET = "hunter2-of-the-environment"
HOST = "ssh://deploy@thanos"
ON_THANOS = [GATEWAY, *(service.name for service in Graph(SERVICES, NODES).on("thanos"))]


def inspected(
    service: str,
    part: str,
    *,
    status: str = "running",
    name: str | None = None,
    health: Mapping[str, Any] | None = None,
    restarts: int = 0,
    node: str = "thanos",
    **state: Any,
) -> dict[str, Any]:
    """One item of `docker inspect`, in the form of Docker's API."""
    suffix = {"app": "", "gateway": ""}.get(part, f"-{part}")
    started = status != "created"
    item: dict[str, Any] = {
        "Id": "8f4b0a" + "0" * 58,
        "Created": "2025-03-01T10:00:00.123456789Z",
        "Path": "/entrypoint",
        "Args": ["--key", SECRET],
        "State": {
            "Status": status,
            "Running": status in ("running", "restarting", "paused"),
            "Paused": status == "paused",
            "Restarting": status == "restarting",
            "OOMKilled": False,
            "Dead": status == "dead",
            "Pid": 4711 if status == "running" else 0,
            "ExitCode": 0,
            "Error": "",
            "StartedAt": "2025-03-01T10:00:01.5Z" if started else "0001-01-01T00:00:00Z",
            "FinishedAt": "0001-01-01T00:00:00Z" if status in ("running", "created") else "2025-03-01T10:07:30.5Z",
            **state,
        },
        "Image": "sha256:" + "1" * 64,
        "Name": f"/{name or f'agentic-mesh-{service}{suffix}'}",
        "RestartCount": restarts,
        "Mounts": [{"Type": "volume", "Name": SECRET}],
        "Config": {
            "Env": [f"PASSWORD={SECRET}"],
            "Cmd": ["serve", SECRET],
            "Labels": {
                "agentic-mesh.service": service,
                "agentic-mesh.node": node,
                "agentic-mesh.part": part,
                "agentic-mesh.image": "example.com/image:1",
            },
        },
        "HostConfig": {"Memory": 134217728},
    }
    if health is not None:
        item["State"]["Health"] = health
    return item


def checked(status: str, *, code: int = 1, output: str = "", failures: int = 0) -> dict[str, Any]:
    """Docker's record of a health check: the last run is the last entry."""
    runs = [(0, "an earlier run"), (code, output)]
    return {
        "Status": status,
        "FailingStreak": failures,
        "Log": [
            {
                "Start": "2025-03-01T11:00:00.1+01:00",
                "End": "2025-03-01T11:00:00.2+01:00",
                "ExitCode": code,
                "Output": text,
            }
            for code, text in runs
        ],
    }


HEALTHY = checked("healthy", code=0)


def pod_of(service: str, app: Mapping[str, Any] | None = None, proxy: Mapping[str, Any] | None = None) -> list[Any]:
    """A pod that is well, but for what is given."""
    return [
        inspected(service, "app", **(app or {})),
        inspected(service, "proxy", **{"health": HEALTHY, **(proxy or {})}),
        inspected(service, "loader", status="created", name=f"agentic-mesh-{service}-proxy-config-loader"),
    ]


def well(*left_out: str) -> list[Any]:
    """All of thanos as a good `up` leaves it, but for the services that are left out."""
    found = [inspected("preflight", "preflight", name="agentic-mesh-preflight-host", health=HEALTHY)]
    if GATEWAY not in left_out:
        found += [
            inspected(GATEWAY, "gateway", health=HEALTHY),
            inspected(GATEWAY, "loader", status="created", name="agentic-mesh-gateway-proxy-config-loader"),
        ]
    for service in ON_THANOS[1:]:
        if service not in left_out:
            found += pod_of(service)
    return found


def judged(items: Sequence[Any], expected: Sequence[str] = ("vllm",)) -> list[Pod]:
    return pods(containers(json.dumps(items)), expected)


def problems(items: Sequence[Any], expected: Sequence[str] = ("vllm",)) -> dict[str, tuple[str, ...]]:
    return {pod.name: pod.problems for pod in judged(items, expected) if pod.problems}


def report(
    items: Sequence[Any],
    expected: Sequence[str] = ("vllm",),
    logs: Mapping[str, str] | None = None,
    lines: int = 20,
) -> str:
    place = Place(stack="thanos", host=HOST, probes={"vllm": "GET /health on port 8000"}, lines=lines)
    return render(judged(items, expected), logs or {}, place, Paint(StringIO()))


def row(text: str, service: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [service])


# What is wrong, and what is not.


def test_a_good_deploy_is_all_healthy() -> None:
    items = well()
    assert problems(items, ON_THANOS) == {}
    # The probe of the preflight is no pod.
    assert report(items, ON_THANOS) == f"thanos: All {len(ON_THANOS)} pods healthy on {HOST}."


@pytest.mark.parametrize("status", ["created", "paused", "restarting", "removing", "exited", "dead"])
@pytest.mark.parametrize("part", ["app", "proxy"])
def test_what_should_run_and_does_not(part: str, status: str) -> None:
    assert problems(pod_of("vllm", **{part: {"status": status}})) == {"vllm": (f"{part} {status}",)}


def test_a_loader_never_runs_and_the_gateway_has_no_app() -> None:
    items = [
        *pod_of("vllm"),
        inspected("vllm", "loader", status="exited", name="agentic-mesh-vllm-config-loader", ExitCode=1),
        inspected(GATEWAY, "gateway", health=HEALTHY),
    ]
    assert problems(items, [GATEWAY, "vllm"]) == {}


@pytest.mark.parametrize("status", ["starting", "unhealthy"])
def test_a_health_check_that_is_not_healthy(status: str) -> None:
    assert problems(pod_of("vllm", proxy={"health": checked(status)})) == {"vllm": (f"proxy {status}",)}


@pytest.mark.parametrize("health", [None, {"Status": "none", "FailingStreak": 0, "Log": None}])
def test_an_app_has_no_health_check(health: dict[str, Any] | None) -> None:
    assert problems(pod_of("vllm", app={"health": health})) == {}


def test_memory_that_ran_out_counts_while_it_runs_again() -> None:
    assert problems(pod_of("vllm", app={"OOMKilled": True})) == {"vllm": ("app out of memory",)}


def test_the_health_of_what_stopped_is_old_news() -> None:
    items = pod_of("vllm", proxy={"status": "exited", "health": checked("unhealthy")})
    assert problems(items) == {"vllm": ("proxy exited",)}


def test_a_service_without_any_container_is_missing() -> None:
    assert problems(well("vllm", GATEWAY), ON_THANOS) == {"vllm": ("missing",), GATEWAY: ("missing",)}


def test_a_loader_alone_and_an_app_without_a_proxy() -> None:
    app, proxy, loader = pod_of("vllm")
    assert problems([loader]) == {"vllm": ("only its loader is there",)}
    assert problems([app, loader]) == {"vllm": ("proxy missing",)}
    assert problems([proxy, loader]) == {"vllm": ("app missing",)}
    assert row(report([proxy, loader]), "vllm")[1] == "missing"


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"status": "exited"}, ()),
        ({"status": "exited", "ExitCode": 143}, ()),
        ({"health": HEALTHY}, ()),
        ({"health": checked("unhealthy")}, ("preflight unhealthy",)),
        ({"status": "restarting", "ExitCode": 1}, ("preflight restarting",)),
        ({"status": "created", "Error": "cannot assign requested address"}, ("preflight created",)),
        ({"status": "exited", "ExitCode": 128, "Error": "could not select device driver"}, ("preflight exited",)),
    ],
)
def test_a_preflight_probe_may_end_but_not_fail(state: dict[str, Any], found: tuple[str, ...]) -> None:
    items = [
        *pod_of("vllm"),
        inspected("preflight", "preflight", name="agentic-mesh-preflight-gpu", health=HEALTHY),
        inspected("preflight", "preflight", name="agentic-mesh-preflight-sysctl", **state),
    ]
    assert problems(items) == ({"preflight-sysctl": found} if found else {})


def test_what_the_topology_dropped_is_judged_too() -> None:
    items = [*pod_of("vllm"), *pod_of("bygone", app={"status": "exited"})]
    assert problems(items) == {"bygone": ("app exited",)}


def test_other_containers_of_the_host_are_left_alone() -> None:
    stranger = inspected("x", "app", status="dead")
    stranger["Config"]["Labels"] = None
    assert containers(json.dumps([stranger])) == []


# The report.


def test_the_worst_comes_first() -> None:
    items = [*pod_of("qdrant"), *pod_of("vllm", app={"status": "exited"})]
    assert [pod.name for pod in judged(items, ["ocr", "qdrant", "vllm"])] == ["vllm", "ocr", "qdrant"]


def test_the_summary() -> None:
    items = [
        *pod_of("qdrant"),
        *pod_of(
            "vllm",
            app={"status": "restarting", "ExitCode": 1, "restarts": 6},
            proxy={"health": checked("unhealthy"), "restarts": 1},
        ),
    ]
    text = report(items, ["vllm", "qdrant", "ocr"])
    assert row(text, "SERVICE") == ["SERVICE", "STATE", "HEALTH", "EXIT", "RESTARTS", "FINDING"]
    assert row(text, "vllm")[:5] == ["vllm", "restarting", "unhealthy", "1", "7"]
    assert row(text, "qdrant") == ["qdrant", "running", "healthy", "-", "0", "ok"]
    assert row(text, "ocr") == ["ocr", "missing", "-", "-", "-", "missing"]


def test_the_details_of_an_app_that_ended() -> None:
    items = pod_of("vllm", app={"status": "exited", "ExitCode": 137, "OOMKilled": True, "restarts": 1})
    text = report(items)
    assert (
        "app: agentic-mesh-vllm: exited since 2025-03-01 10:07:30 UTC, exit code 137 (killed: memory ran out), "
        "1 restart, OOM: "
    ) in text
    assert "proxy: agentic-mesh-vllm-proxy: running since 2025-03-01 10:00:01 UTC, 0 restarts" in text
    assert f"next: docker -H {HOST} logs -f agentic-mesh-vllm\n" in text
    assert text.endswith("pulumi up -s thanos")


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0, "ended by itself"),
        (126, "cannot be executed"),
        (127, "not in the image"),
        (137, "killed"),
        (139, "segmentation fault"),
        (143, "terminated"),
    ],
)
def test_what_an_exit_code_means(code: int, meaning: str) -> None:
    lines = report(pod_of("vllm", app={"status": "exited", "ExitCode": code})).splitlines()
    assert any(f"exit code {code} (" in line and meaning in line for line in lines)


def test_an_exit_code_of_the_programs_own_is_not_explained() -> None:
    assert "exit code 42, 0 restarts" in report(pod_of("vllm", app={"status": "exited", "ExitCode": 42}))


def test_what_the_daemon_refused() -> None:
    error = 'could not select device driver "nvidia"\nwith capabilities: [[gpu]]\x1b[2J'
    text = report(pod_of("vllm", app={"status": "created", "Error": error, "ExitCode": 128}))
    assert "app: agentic-mesh-vllm: created since 2025-03-01 10:00:00 UTC, 0 restarts\n" in text
    assert (
        '    Docker: could not select device driver "nvidia"\n    Docker: with capabilities: [[gpu]]\\x1b[2J\n'
    ) in text


def test_the_last_probe() -> None:
    health = checked("unhealthy", code=-1, output="Health check exceeded timeout (3s)", failures=9)
    text = report(pod_of("vllm", proxy={"health": health}))
    assert "health: unhealthy, 9 failures in a row, last probe ended with -1, saying:\n    | Health check exc" in text
    assert "an earlier run" not in text


@pytest.mark.parametrize("log", [None, []])
def test_no_probe_yet(log: list[Any] | None) -> None:
    text = report(pod_of("vllm", proxy={"health": {"Status": "starting", "FailingStreak": 0, "Log": log}}))
    assert "health: starting, 0 failures in a row, no probe has run yet\n" in text


ANSWERS_200 = "answers 200 only while the app answers its probe (GET /health on port 8000): look at the app's log"


def test_an_unhealthy_proxy_points_to_its_app() -> None:
    text = report(pod_of("vllm", proxy={"health": checked("unhealthy", failures=3)}))
    assert "last probe ended with 1, saying nothing\n" in text
    assert ANSWERS_200 in text
    assert "logs -f agentic-mesh-vllm\n" in text


def test_but_not_where_the_app_does_not_run_or_envoy_does_not_answer() -> None:
    stopped = report(pod_of("vllm", app={"status": "exited"}, proxy={"health": checked("unhealthy")}))
    assert "answers 200" not in stopped
    refused = "bash: connect: Connection refused\nbash: line 1: /dev/tcp/127.0.0.1/9902: Connection refused\n"
    deaf = report(pod_of("vllm", proxy={"health": checked("unhealthy", output=refused)}))
    assert "answers 200" not in deaf
    assert "look at the proxy's log" in deaf
    assert "logs -f agentic-mesh-vllm-proxy\n" in deaf


def test_missing_services_are_named_together() -> None:
    text = report([], ["ocr", "vllm"])
    assert "== no container at all: ocr, vllm\n" in text
    assert "Mend what stands above" not in text
    assert "Mend what stands above" in report(pod_of("qdrant", app={"status": "dead"}), ["ocr", "qdrant"])


def test_logs_of_both_parts_under_their_names() -> None:
    logs = {"agentic-mesh-vllm": "one\ntwo\nthree\n", "agentic-mesh-vllm-proxy": ""}
    text = report(pod_of("vllm", app={"status": "exited"}), logs=logs, lines=2)
    assert "  -- log of app (agentic-mesh-vllm), last 2 lines\n  | two\n  | three\n" in text
    assert "  -- log of proxy (agentic-mesh-vllm-proxy), last 2 lines\n  | (nothing)\n" in text
    assert "| one" not in text


def test_nothing_of_the_configuration_shows() -> None:
    found = containers(json.dumps(pod_of("vllm", app={"status": "exited"})))
    assert SECRET not in repr(found)
    assert SECRET not in report(pod_of("vllm", app={"status": "exited"}))


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f'{{"Env": "{SECRET}"}}',
        f'[{{"Config": "{SECRET}"}}]',
        "[1]",
        json.dumps([inspected("vllm", "app", ExitCode=SECRET)]),
    ],
)
def test_an_unknown_form_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="unknown form") as caught:
        containers(text)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


# Hostile text.


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31merror\x1b[0m: no", "error: no"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b\x1b[0m[2J", "\\x1b[2J"),
        ("50%\r100%", "50%\\r100%"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\x9b2J\u2028\ud800", "\\x9b2J\\u2028\\ud800"),
        ("Grüße\tüber 漢字", "Grüße\tüber 漢字"),
    ],
)
def test_control_characters_do_not_reach_the_terminal(hostile: str, shown: str) -> None:
    assert visible(hostile) == shown


def test_a_line_without_end_is_cut() -> None:
    assert visible("x" * 2500) == "x" * 2000 + " ... and 500 characters more"


def test_lines_end_as_on_windows_too() -> None:
    assert visible_lines("a\r\n\r\nb\x0bc\r\n\n") == ["a", "", "b\\x0bc"]
    assert visible_lines(" \n") == []


def test_a_log_cannot_pass_for_the_report() -> None:
    forged = "== redis: all healthy\n::set-output name=x::y\n\x1b[2J\x1b[H"
    text = report(pod_of("vllm", app={"status": "exited"}), logs={"agentic-mesh-vllm": forged})
    assert "\n  | == redis: all healthy\n  | ::set-output name=x::y\n  | \\x1b[2J\\x1b[H\n" in text
    assert "\x1b" not in text


def test_names_from_docker_are_hostile_too() -> None:
    item = inspected("vl\x1b[2Jlm", "app", status="exited", name="a\x1b[Hb")
    assert "\x1b" not in report([item])


# The program, with a `docker` of its own.


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the answers of a `docker` on PATH, and `calls`, what it was asked."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\ncd "{tmp_path}" || exit\n'
        'echo "$*" >>calls\n'
        'case "$3" in\n'
        "ps) echo 8f4b0a;;\n"
        "inspect) cat inspect;;\n"
        'logs) echo "out of $6"; echo "err of $6" >&2;;\n'
        "esac\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "inspect").write_text(json.dumps(well()))
    return tmp_path


def answers(folder: Path, script: str) -> None:
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")


def asked(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_all_healthy_ends_well(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "thanos"]) == 0
    assert capsys.readouterr().out == f"thanos: All {len(ON_THANOS)} pods healthy on {HOST}.\n"


def test_reads_the_logs_of_the_unhealthy_alone(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [*well("vllm", "ocr"), *pod_of("vllm", app={"status": "exited", "ExitCode": 1})]
    (docker / "inspect").write_text(json.dumps(items))
    assert main(["--stack", "thanos", "--lines", "3"]) == 1
    out = capsys.readouterr().out
    assert "| out of agentic-mesh-vllm\n  | err of agentic-mesh-vllm\n" in out
    assert "no container at all: ocr\n" in out
    assert asked(docker) == [
        f"-H {HOST} ps --all --quiet --no-trunc --filter label=agentic-mesh.service",
        f"-H {HOST} inspect --type container 8f4b0a",
        f"-H {HOST} logs --tail 3 agentic-mesh-vllm",
        f"-H {HOST} logs --tail 3 agentic-mesh-vllm-proxy",
    ]


def test_chosen_services_alone(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (docker / "inspect").write_text(json.dumps(well("vllm")))
    assert main(["--stack", "thanos", "qdrant"]) == 0
    assert capsys.readouterr().out == f"thanos: The one pod healthy on {HOST}.\n"
    assert main(["--stack", "thanos", "qdrant", "vllm"]) == 1
    assert main(["--stack", "thanos", "vlllm"]) == 2
    error = capsys.readouterr().err
    assert "vlllm" in error
    assert "vllm-" not in error
    assert " vllm" in error


def test_the_host_given_wins(docker: Path) -> None:
    main(["--stack", "thanos", "--host", "unix:///run/other.sock"])
    assert asked(docker)[0].startswith("-H unix:///run/other.sock ps ")


@pytest.mark.parametrize("host", ["tcp://thanos:2375", "thanos", "ssh://thanos", ""])
def test_a_host_that_is_none(docker: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "thanos", "--host", host]) == 2
    assert "Mend it with: --host ssh://" in capsys.readouterr().err
    assert not (docker / "calls").exists()


def test_a_container_that_goes_away_meanwhile(docker: Path) -> None:
    with (docker / "docker").open("a") as script:
        script.write('[ "$3" = inspect ] && { echo "Error: No such container: 8f4b0a" >&2; exit 1; }\nexit 0\n')
    assert main(["--stack", "thanos"]) == 0
    (docker / "inspect").write_text("[]\n")
    assert main(["--stack", "thanos"]) == 2


@pytest.mark.parametrize(
    ("items", "hint"),
    [([], "nothing is deployed there"), ([inspected("loki", "app", node="oracle1")], "those of oracle1")],
)
def test_no_container_of_the_node(
    docker: Path, items: list[Any], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (docker / "inspect").write_text(json.dumps(items))
    assert main(["--stack", "thanos"]) == 2
    error = capsys.readouterr().err
    assert hint in error
    assert "pulumi up -s thanos" in error


def test_docker_that_does_not_answer(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers(docker, r"printf 'error during connect: \033]0;x\007 connection refused' >&2; exit 1")
    assert main(["--stack", "thanos"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        f"error: Docker at {HOST} does not answer: error during connect: \\x1b]0;x\\x07 conn"
    )
    assert f"docker -H {HOST} version" in captured.err


def test_docker_that_hangs_with_a_child_of_its_own(docker: Path) -> None:
    answers(docker, "sleep 20 & sleep 20")
    begin = time.monotonic()
    with pytest.raises(DockerError, match=r"no answer in 0\.2 s"):
        Docker(HOST, 0.2).inspect()
    assert time.monotonic() - begin < 10
    assert Docker(HOST, 0.2).logs("agentic-mesh-vllm", 5).startswith("(no log: ")


def test_no_docker_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--stack", "thanos"]) == 2
    assert "no `docker` program on PATH" in capsys.readouterr().err


# The stack's file.


def stack_file(folder: Path, text: str, stack: str = "thanos") -> Path:
    (folder / f"Pulumi.{stack}.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("stack", ["nowhere", "", "../thanos", "*"])
def test_an_unknown_stack(stack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack_file(tmp_path, "config: {}\n", "titan")
    assert main(["--stack", stack], tmp_path) == 2
    assert "make diagnose STACK=titan" in capsys.readouterr().err


def test_the_local_socket_where_no_host_is_set(docker: Path, tmp_path: Path) -> None:
    assert stack_settings(stack_file(tmp_path, ""), "thanos").docker_host == "unix:///var/run/docker.sock"


def test_stacks_of_the_checkout() -> None:
    assert stack_settings(CHECKOUT, "thanos").docker_host == HOST
    settings = stack_settings(CHECKOUT, "an-organisation/agentic-mesh/oracle1")
    assert (settings.docker_host, settings.node.name) == ("ssh://deploy@oracle1", "oracle1")


@pytest.mark.parametrize(
    "nodes",
    [
        'agentic-mesh:nodes: {titan: {role: control, address: "100.64.1.9"}}',
        """agentic-mesh:nodes: '{"titan": {"role": "control", "address": "100.64.1.9"}}'""",
    ],
)
def test_nodes_of_the_stacks_own_and_secrets_left_shut(nodes: str, tmp_path: Path) -> None:
    sealed = "agentic-mesh:claudeApiKey: {secure: v1:AAAA}"
    folder = stack_file(tmp_path, f"config:\n  {nodes}\n  {sealed}\n  agentic-mesh:alerts: 3\n", "titan")
    assert stack_settings(folder, "titan").node.role == "control"


@pytest.mark.parametrize("text", ["config: [", "- a", "\x00", "config:\n  agentic-mesh:dockerHost: tcp://thanos\n"])
def test_a_file_that_cannot_be_read(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "thanos"], stack_file(tmp_path, text)) == 2
    assert "Mend it" in capsys.readouterr().err
