"""Values of containers in the form in which the real Docker provider reads them back."""

import pytest

from components.platform.containers import go_duration, health_check, memory, processors
from engine.docker_rules import docker_failures
from tests.unit.program import Program


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1.0"), (2.0, "2.0"), (0.5, "0.5"), (1.5, "1.5"), (0.25, "0.25"), (12, "12.0"), (10, "10."), (100, "100.")],
)
def test_processors_as_the_provider_prints_them(number: float, text: str) -> None:
    # Ten is no slip: the provider cuts the zeros of "10.000000000" off and leaves the point.
    assert processors(number) == text


@pytest.mark.parametrize("number", [0.05, 0.01, 1 / 3])
def test_a_number_that_comes_back_as_another_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="use a rounder number"):
        processors(number)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (1, "1s"), (30, "30s"), (60, "1m0s"), (90, "1m30s"), (120, "2m0s"), (3600, "1h0m0s"), (3661, "1h1m1s")],
)
def test_durations_as_go_prints_them(seconds: int, text: str) -> None:
    assert go_duration(seconds) == text


def test_swap_is_always_said_with_memory() -> None:
    assert memory(16) == {"memory": 16, "memory_swap": 16}


def test_times_of_a_health_check_are_durations() -> None:
    check = health_check(["NONE"], interval=60, timeout=3, retries=3, start_period=600, start_interval=1)
    assert (check.interval, check.timeout, check.start_period, check.start_interval) == ("1m0s", "3s", "10m0s", "1s")


def test_nothing_of_the_program_is_read_back_in_another_form(program: Program) -> None:
    docker = [made for made in program.mocks.registered if made.typ.startswith("docker:")]
    assert len(docker) > 80
    found = {made.name: list(docker_failures(made.typ, made.inputs)) for made in docker}
    assert {name: failures for name, failures in found.items() if failures} == {}


def test_every_limit_of_memory_says_what_of_swap(program: Program) -> None:
    for container in program.containers.values():
        assert container.inputs["memorySwap"] == container.inputs["memory"] > 0, container.name


def test_each_app_s_health_check_is_off_and_whole(program: Program) -> None:
    for app in program.apps.values():
        check = app.inputs["healthcheck"]
        assert check["tests"] == ["NONE"], app.name
        # The image's own would fill in what is missing.
        assert check.keys() >= {"interval", "timeout", "startPeriod", "retries"}, app.name
