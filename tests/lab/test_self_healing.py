"""Nobody runs `up`: what a restart, a crash or a kill took away comes back by itself, and works."""

import contextlib
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import daemons, link, processes, status
from tests.lab.mesh import PREFIX, Mesh
from tests.lab.test_request_path import User, question

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

NODES = ("thanos", "oracle1")
PATIENCE = 300
"""Seconds to wait for what should heal by itself; how long it took is printed."""
_MICROSECONDS = len("2026-01-01T00:00:00.000000")
AWAY = 20
"""Seconds that a booted node is without its tailnet address. Nothing in the program counts up to a minute."""


@pytest.fixture
def user(mesh: Mesh, tmp_path: Path) -> User:
    return User(mesh, tmp_path)


@contextlib.contextmanager
def up_again(mesh: Mesh, name: str) -> Iterator[None]:
    """Where what is done inside fails, the node runs all the same."""
    node = mesh.node(name)
    try:
        yield
    except BaseException:
        link.give_address(node)
        daemons.crash(node)
        daemons.boot(node)
        raise


def healed(mesh: Mesh, what: str) -> None:
    """Wait until every container is healthy, and say how long that took."""
    started = time.monotonic()
    for name in NODES:
        soon(partial(stale, mesh, name), PATIENCE)
    mesh.wait_healthy(PATIENCE)
    print(f"lab: {what}: all healthy after {time.monotonic() - started:.1f} s")


def stale(mesh: Mesh, name: str) -> str | None:
    """Proxies that have not seen their app well since either started; until then Docker shows what was before."""
    states = mesh.containers(name)
    asked = []
    for container, state in states.items():
        looks = state["State"].get("Health", {}).get("Log") or []
        app = states.get(container.removesuffix("-proxy"), state)
        since = max(state["State"]["StartedAt"], app["State"]["StartedAt"])[:_MICROSECONDS]
        fresh = [look for look in looks if look["Start"][:_MICROSECONDS] > since]
        if "Health" in state["State"] and not (fresh and fresh[-1]["ExitCode"] == 0):
            asked.append(container)
    return f"not seen healthy on {name}: {asked}" if asked else None


def works(mesh: Mesh, user: User) -> None:
    """Calls through the whole mesh in both directions: a user's question to the model, a probe of the agents."""

    def answered() -> str | None:
        asked = question()
        got, _, body = user.ask("/v1/chat/completions", asked)
        content = asked["messages"][0]["content"]
        return None if got == 200 and content in json.loads(body)["choices"][0]["message"]["content"] else body

    def probed() -> str | None:
        command = ("curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "http://agents:8080/health")
        said = mesh.execute("thanos", "blackbox-exporter", *command)
        return None if said == (0, "200") else str(said)

    started = time.monotonic()
    soon(answered)
    soon(probed)
    print(f"lab: a question was answered, and a probe from thanos, {time.monotonic() - started:.1f} s later")


def soon(look: Callable[[], str | None], seconds: float = 60) -> None:
    """Sidecars ask their callees every few seconds, so that a way may open a little after both ends are healthy."""
    end = time.monotonic() + seconds
    while (wrong := look()) is not None:
        assert time.monotonic() < end, wrong
        time.sleep(1)


def keep(mesh: Mesh, mark: str) -> None:
    """Leave a mark in both stores."""
    assert store(mesh, f"SET agents:lab-mark {mark}").strip() == "OK"
    sql(mesh, f"DROP TABLE IF EXISTS lab_mark; CREATE TABLE lab_mark AS SELECT '{mark}'::text AS mark")


def kept(mesh: Mesh) -> tuple[str, str]:
    """The marks that are there."""
    return store(mesh, "GET agents:lab-mark").strip(), sql(mesh, "SELECT mark FROM lab_mark").strip()


def forget(mesh: Mesh) -> None:
    store(mesh, "DEL agents:lab-mark")
    sql(mesh, "DROP TABLE IF EXISTS lab_mark")


def store(mesh: Mesh, command: str) -> str:
    """What Redis says to the agents, through both sidecars."""
    said = 'redis-cli -h redis --user agents --no-auth-warning -a "$(cat /config/redis-password)" ' + command
    return executed(mesh, said)


def sql(mesh: Mesh, statement: str) -> str:
    """What Postgres says to them."""
    return executed(
        mesh,
        'PGPASSWORD="$(cat /config/postgres-password)" psql -qtAX -v ON_ERROR_STOP=1 '
        f'-c "{statement}" "host=postgres user=agents dbname=agents sslmode=disable connect_timeout=20"',
    )


def executed(mesh: Mesh, script: str) -> str:
    code, output = mesh.execute("oracle1", "agents", "sh", "-c", script)
    assert code == 0, output
    return output


@pytest.mark.parametrize("name", NODES)
def test_docker_is_restarted_and_containers_run_on(mesh: Mesh, user: User, name: str) -> None:
    node, before = mesh.node(name), mesh.identities(name)
    with up_again(mesh, name):
        started = time.monotonic()
        daemons.restart_docker(node)
        print(f"lab: Docker on {name} restarted in {time.monotonic() - started:.1f} s")
        healed(mesh, f"Docker on {name} restarted")
    assert mesh.identities(name) == before
    works(mesh, user)


@pytest.mark.parametrize("name", NODES)
def test_a_node_crashes_and_comes_back(mesh: Mesh, user: User, name: str) -> None:
    node, before, mark = mesh.node(name), mesh.identities(name), secrets.token_hex(8)
    try:
        keep(mesh, mark)
        with up_again(mesh, name):
            daemons.crash(node)
            assert not daemons.answers(node)
            started = time.monotonic()
            daemons.boot(node)
            print(f"lab: {name} booted in {time.monotonic() - started:.1f} s")
            healed(mesh, f"{name} crashed and booted")
        after = mesh.identities(name)
        # The very same containers, each started anew.
        assert {key: was[0] for key, was in after.items()} == {key: was[0] for key, was in before.items()}
        ran = {key for key, was in mesh.containers(name).items() if status.part(was) != "loader"}
        assert all(after[key][1] > before[key][1] for key in ran)
        works(mesh, user)
        assert kept(mesh) == (mark, mark)
    finally:
        forget(mesh)


@pytest.mark.parametrize("name", NODES)
def test_a_node_boots_before_its_tailnet_address_is_there(mesh: Mesh, user: User, name: str) -> None:
    node = mesh.node(name)
    with up_again(mesh, name):
        daemons.crash(node)
        link.take_address(node)
        daemons.boot(node)
        end = time.monotonic() + AWAY
        # The gateway publishes on an address that is not there yet, and all of the node but the calls across works.
        # The preflight's probe says what is missing meanwhile.
        processes.wait_until(lambda: ill(mesh, name) <= {"preflight-host"}, PATIENCE, every=1)
        assert ill(mesh, name) <= {"preflight-host"}
        processes.wait_until(lambda: time.monotonic() > end, AWAY)
        link.give_address(node)
        healed(mesh, f"{name} got its address after {AWAY} s or more")
    works(mesh, user)


def ill(mesh: Mesh, name: str) -> set[str]:
    return {container.removeprefix(f"{PREFIX}-") for container in mesh.unhealthy().get(name, ())}


@pytest.mark.parametrize("part", ["app", "proxy", "gateway", "preflight"])
@pytest.mark.parametrize("name", NODES)
def test_each_container_is_killed_once(mesh: Mesh, user: User, name: str, part: str) -> None:
    """All of one part at once, which is harder than one after another: nobody finds the others well."""
    before = mesh.containers(name)
    chosen = {key: state for key, state in before.items() if status.part(state) == part}
    assert chosen
    killed = [state["State"]["Pid"] for state in chosen.values()]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    started = time.monotonic()

    def back() -> str | None:
        now = mesh.containers(name)
        gone = [key for key in chosen if not anew(chosen[key], now[key])]
        return f"not started again: {gone}" if gone else None

    soon(back, PATIENCE)
    print(f"lab: {len(killed)} of {part} on {name} killed, started again after {time.monotonic() - started:.1f} s")
    healed(mesh, "and then")
    after = mesh.containers(name)
    assert {key: state["Id"] for key, state in after.items()} == {key: state["Id"] for key, state in before.items()}
    assert all(anew(chosen[key], after[key]) for key in chosen)
    # Clients of what was killed may have been restarted, too: by Docker, and never anew.
    works(mesh, user)


def anew(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether Docker started a container again, by its restart policy."""
    return bool(
        now["State"]["Running"]
        and now["State"]["StartedAt"] > was["State"]["StartedAt"]
        and now["RestartCount"] > was["RestartCount"]
    )
