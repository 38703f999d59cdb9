from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from engine.wire import UNKNOWN_ON_WIRE

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "x"}


def urn(token: str) -> str:
    return f"urn:pulumi:thanos::agentic-mesh::agentic-mesh:pod:Pod${token}::it"


def struct(values: dict[str, Any]) -> Struct:
    message = Struct()
    message.update(values)
    return message


@pytest.fixture(scope="module")
def docker(ports: dict[str, int]) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{ports['docker']}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)


def test_a_planned_container_keeps_its_inputs_and_leaves_the_rest_open(docker: Any) -> None:
    request = provider_pb2.CreateRequest(
        urn=urn("docker:index/container:Container"), properties=struct({"image": "a", "user": SECRET}), preview=True
    )
    planned = MessageToDict(docker.Create(request).properties)
    assert planned["image"] == "a"
    assert planned["user"] == SECRET
    assert planned["networkDatas"] == UNKNOWN_ON_WIRE


def test_secret_values_are_checked_like_others(docker: Any) -> None:
    name = dict(SECRET)
    request = provider_pb2.CheckRequest(
        urn=urn("docker:index/container:Container"), news=struct({"image": "a", "name": name})
    )
    assert [failure.property for failure in docker.Check(request).failures] == ["name"]


def test_nothing_is_created(docker: Any) -> None:
    with pytest.raises(grpc.RpcError, match="only plans"):
        docker.Create(provider_pb2.CreateRequest(urn=urn("docker:index/volume:Volume")))


def test_nothing_is_deleted(docker: Any) -> None:
    with pytest.raises(grpc.RpcError, match="only plans"):
        docker.Delete(provider_pb2.DeleteRequest(urn=urn("docker:index/volume:Volume"), id="v"))


def test_lookups_are_refused_by_name(docker: Any) -> None:
    response = docker.Invoke(provider_pb2.InvokeRequest(tok="docker:index/getNetwork:getNetwork"))
    assert "docker:index/getNetwork:getNetwork" in response.failures[0].reason


def test_unknown_provider_configuration_is_refused(docker: Any) -> None:
    request = provider_pb2.CheckRequest(news=struct({"hots": "ssh://a@b", "version": "5.2.0"}))
    assert [failure.property for failure in docker.CheckConfig(request).failures] == ["hots"]


def test_only_changed_inputs_are_a_difference(docker: Any) -> None:
    def diff(new: str) -> list[str]:
        request = provider_pb2.DiffRequest(old_inputs=struct({"name": "a", "driver": "local"}))
        request.news.update({"name": new, "driver": "local"})
        return list(docker.Diff(request).diffs)

    assert diff("a") == []
    assert diff("b") == ["name"]
