"""`make diagnose`: what it makes of Docker's answers."""

import json
from typing import Any

import pytest

from scripts.diagnose.state import containers, visible, visible_lines
from tests.unit.diagnose import (
    HEALTHY,
    HOST,
    ON_THANOS,
    SECRET,
    checked,
    inspected,
    judged,
    pod_of,
    problems,
    report,
    row,
    well,
)
from topology.graph import GATEWAY

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
    assert "Fix what stands above" not in text
    assert "Fix what stands above" in report(pod_of("qdrant", app={"status": "dead"}), ["ocr", "qdrant"])


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
