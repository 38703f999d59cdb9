"""Values of containers in the form in which the real Docker provider reads them back."""

import re

import pytest

from components.platform.containers import go_duration, health_check, memory, processors
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
    with pytest.raises(ValueError, match="take a rounder number"):
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


def test_every_container_of_the_program_is_written_as_it_is_read_back(program: Program) -> None:
    for container in program.containers.values():
        inputs = container.inputs
        assert "memory" in inputs, container.name
        assert inputs["memorySwap"] == inputs["memory"], container.name
        if "cpus" in inputs:
            assert inputs["cpus"] == processors(float(inputs["cpus"])), container.name
        for key, value in inputs.get("healthcheck", {}).items():
            if key not in ("tests", "retries"):
                assert value == go_duration(_seconds(value)), (container.name, key)


def _seconds(duration: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))
