"""Checks what we render against upstream's facts: `tests/contracts/upstream/<image>.yaml`."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.upstream_check import pinned, problems
from tests.contracts.upstream_facts import BASES, FormError, keys_with_files, parse, read
from tests.contracts.upstream_rendered import Rendered, containers
from tests.unit.program import Program
from tests.unit.samples import nodes
from topology.catalog import SERVICES
from topology.images import BUILDS, IMAGES, Image

ROOT = Path(__file__).parents[2]
BY_NAME = {service.name: service for service in SERVICES}


@pytest.fixture(scope="module")
def rendered() -> list[Rendered]:
    """Every container of both nodes, and of a control node on ARM."""
    programs = (
        Program("thanos"),
        Program("oracle1"),
        Program("oracle1", nodes=nodes(architecture="arm64")),
    )
    return [container for program in programs for container in containers(program, BY_NAME)]


def of(rendered: list[Rendered], service: str) -> Rendered:
    """A service's app."""
    return next(r for r in rendered if r.service is not None and r.service.name == service)


def test_every_image_has_its_file_and_every_file_its_image() -> None:
    assert keys_with_files() == IMAGES.keys() | set(BASES)


@pytest.mark.parametrize("key", sorted(IMAGES))
def test_the_file_was_read_from_the_version_that_is_pinned(key: str) -> None:
    assert pinned(read(key), IMAGES[key]) == []


@pytest.mark.parametrize("key", sorted(keys_with_files()))
def test_a_file_that_was_read_at_another_version_says_so(key: str) -> None:
    upstream = read(key)
    numbers = re.findall(r"\d+(?:\.\d+)+", upstream.version)
    at_the_tag = any(number in source.get("ref", "") for source in upstream.sources.values() for number in numbers)
    assert at_the_tag is not bool(upstream.read_at), (
        f"{upstream.file}: no source's `ref` is of {upstream.version}: say in `read_at` which version was read"
        if not at_the_tag
        else f"{upstream.file}: its sources are of {upstream.version}: `read_at` is no longer true"
    )


@pytest.mark.parametrize("key", sorted(IMAGES))
def test_the_plan_asks_nothing_that_upstream_would_refuse_or_ignore(key: str, rendered: list[Rendered]) -> None:
    found = {problem for r in rendered if r.image == key for problem in problems(read(key), r)}
    assert not found, "\n".join(sorted(found))


def test_every_image_is_run_by_some_container(rendered: list[Rendered]) -> None:
    assert {r.image for r in rendered} == IMAGES.keys()


@pytest.mark.parametrize("key", sorted(BUILDS))
def test_what_we_build_stands_on_a_base_that_has_a_file(key: str) -> None:
    text = (ROOT / BUILDS[key] / "Dockerfile").read_text()
    bases = re.findall(r"^(?:FROM |ARG \w+=)([\w./-]+\w):([\w.-]+)(?:@sha256:\w+)?(?: AS \w+)?$", text, re.MULTILINE)
    assert bases
    known = {upstream.image: upstream for upstream in map(read, keys_with_files())}
    for repository, tag in bases:
        assert repository in known, f"{repository}: tests/contracts/upstream/ has no file for it"
        assert repository != read("python").image or tag.startswith(read("python").version + ".")


# The check must be able to fail: each of these changes is made to a copy of the plan.


def changed(container: Rendered, before: str, after: str) -> Rendered:
    """A copy whose command says something else."""
    command = tuple(word.replace(before, after) for word in container.command or ())
    assert command != container.command
    return replace(container, command=command)


def test_a_misspelt_flag_fails(rendered: list[Rendered]) -> None:
    container = changed(of(rendered, "prometheus"), "--storage.tsdb.path", "--storage.tsdb.paht")
    [unknown, *_] = problems(read("prometheus"), container)
    assert "prometheus.yaml has no flag '--storage.tsdb.paht'" in unknown


def test_a_misspelt_variable_fails(rendered: list[Rendered]) -> None:
    kong = of(rendered, "kong")
    environment = {"KONG_DATABSE" if k == "KONG_DATABASE" else k: v for k, v in kong.environment.items()}
    found = problems(read("kong"), replace(kong, environment=environment))
    assert any("kong.yaml has no environment variable 'KONG_DATABSE'" in problem for problem in found)


def test_a_bumped_tag_fails_until_the_file_was_read_again() -> None:
    image = IMAGES["redis"]
    [message] = pinned(read("redis"), Image(reference=f"{image.repository}:99.0.0@{image.digest}"))
    assert message.startswith(f"tests/contracts/upstream/redis.yaml was written for {image.repository}:{image.tag}")
    assert "99.0.0" in message


def test_a_folder_that_is_left_out_fails(rendered: list[Rendered]) -> None:
    kong = of(rendered, "kong")
    writable = tuple(place for place in kong.writable if place != "/kong")
    found = problems(read("kong"), replace(kong, writable=writable))
    assert [p for p in found if "upstream writes /kong" in p and "neither a volume nor tmpfs" in p]


def test_a_port_that_nobody_listens_on_fails(rendered: list[Rendered]) -> None:
    container = changed(of(rendered, "alertmanager"), ":9093", ":9094")
    assert any("nobody listens on 9093" in problem for problem in problems(read("alertmanager"), container))


def test_a_listener_of_the_loopback_fails(rendered: list[Rendered]) -> None:
    container = changed(of(rendered, "alertmanager"), "0.0.0.0:9093", "127.0.0.1:9093")
    assert any("of 127.0.0.1 alone" in problem for problem in problems(read("alertmanager"), container))


def test_a_limit_below_what_it_starts_with_and_a_strange_user_fail(rendered: list[Rendered]) -> None:
    container = replace(of(rendered, "postgres"), memory_mib=8, user="4711:4711")
    found = problems(read("postgres"), container)
    assert any("its limit is 8 MiB" in problem for problem in found)
    assert any("cannot write its volume /var/lib/postgresql/data" in problem for problem in found)


def test_a_volume_on_a_folder_that_the_image_s_user_does_not_own_fails(rendered: list[Rendered]) -> None:
    edge = of(rendered, "edge")
    assert edge.service is not None
    [logs] = edge.service.volumes
    moved = replace(edge, service=replace(edge.service, volumes=(replace(logs, path="/var/log/nginx"),)))
    assert not problems(read("waf"), edge)
    [problem] = problems(read("waf"), moved)
    assert "Docker gives the empty volume on it that owner" in problem


def _form() -> Iterator[tuple[dict[str, object], str]]:
    source = {"repository": "a/b", "ref": "v1", "file": "main.go"}
    good: dict[str, object] = {
        "image": "a/b",
        "version": "v1",
        "sources": {"main": source},
        "entrypoint": {"value": ["/a"], "source": "main"},
        "user": {"value": "0:0", "source": "main"},
        "ports": {},
        "writes": {},
        "memory_at_start_mib": {"value": 10, "source": "main"},
    }
    yield good, ""
    yield {**good, "flag": {}}, "flag is no section"
    yield {k: v for k, v in good.items() if k != "user"}, "user is missing"
    yield {**good, "flags": {"--x": {"takes": "value"}}}, "flags: --x has no source"
    yield {**good, "flags": {"--x": "memory"}}, "names the source 'memory', which `sources` lacks"
    yield {**good, "flags": {"--x": {"defualt": 1, "source": "main"}}}, "defualt is no word here"
    yield {**good, "sources": {"main": {"repository": "a/b"}}}, "needs `repository`, `ref` (tag or commit) and `file`"
    yield {**good, "files": {"/a.yaml": {"keys": {}}}}, "needs `format`"


@pytest.mark.parametrize(("data", "said"), list(_form()))
def test_a_file_of_another_form_says_what_is_wrong(data: dict[str, object], said: str) -> None:
    if not said:
        assert parse("sample", data).version == "v1"
        return
    with pytest.raises(FormError, match=re.escape(said)):
        parse("sample", data)
