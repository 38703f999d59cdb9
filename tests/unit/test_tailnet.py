"""The tailnet component: what it registers, and that its keys stay secret."""

import json

import pulumi
import pulumi_tailscale as tailscale
import pytest

from components.platform.tailnet import KEY_SECONDS, Tailnet, TailnetArgs
from render.tailnet import acl_policy
from tests.unit.mocks import Mocks, everything, secrecy
from topology.catalog import SERVICES
from topology.graph import Graph
from topology.model import Node

ACL = "tailscale:index/acl:Acl"
DNS = "tailscale:index/dnsPreferences:DnsPreferences"
KEY = "tailscale:index/tailnetKey:TailnetKey"
GRAPH = Graph(
    SERVICES,
    (
        Node(name="thanos", role="gpu", address="100.64.1.1"),
        Node(name="oracle1", role="control", address="100.64.1.2"),
    ),
)


def tailnet(
    auth_keys: dict[str, pulumi.Input[str]] | None = None, epoch: int = 1
) -> tuple[Tailnet, tailscale.Provider]:
    provider = tailscale.Provider("tailscale", api_key="key", tailnet="example.com")
    args = TailnetArgs(graph=GRAPH, operators=["you@example.com"], epoch=epoch, auth_keys=auth_keys or {})
    return Tailnet("tailnet", args, pulumi.ResourceOptions(provider=provider)), provider


@pulumi.runtime.test
def test_the_policy_is_the_graphs_and_overwrites_nothing_unseen(
    mocks: Mocks,
) -> pulumi.Output[None]:
    made, _ = tailnet()

    def check(_: object) -> None:
        policy = mocks.one(ACL)
        assert policy.name == "tailnet-acl"
        assert json.loads(policy.inputs["acl"]) == acl_policy(GRAPH, ["you@example.com"])
        assert policy.inputs["overwriteExistingContent"] is False
        assert policy.inputs["resetAclOnDestroy"] is False
        assert policy.protect, "a destroy would forget what stays in force, and the next up could not make it again"

    return everything(made).apply(check)


@pulumi.runtime.test
def test_names_are_on_and_stay_on(mocks: Mocks) -> pulumi.Output[None]:
    made, _ = tailnet()

    def check(_: object) -> None:
        names = mocks.one(DNS)
        assert names.inputs == {"magicDns": True}
        assert names.retain_on_delete

    return everything(made).apply(check)


@pulumi.runtime.test
def test_each_node_gets_one_tagged_key_for_one_machine(mocks: Mocks) -> pulumi.Output[None]:
    made, _ = tailnet(epoch=3)

    def check(_: object) -> None:
        keys = mocks.of(KEY)
        assert [key.name for key in keys] == ["tailnet-key-oracle1", "tailnet-key-thanos"]
        for key, node in zip(keys, ("oracle1", "thanos"), strict=True):
            assert key.inputs == {
                "description": f"{node} epoch 3",
                "tags": [f"tag:agentic-mesh-{node}"],
                "preauthorized": True,
                "reusable": False,
                "ephemeral": False,
                "expiry": KEY_SECONDS,
                "recreateIfInvalid": "never",
            }
            # The tag has to exist before a key can carry it.
            assert any(ACL in urn for urn in key.depends_on)

    return everything(made).apply(check)


@pulumi.runtime.test
def test_keys_are_secret(mocks: Mocks) -> pulumi.Output[None]:
    made, _ = tailnet({"oracle1": "tskey-given"})

    def check(values: list[object]) -> None:
        assert values == [[True, True], "tailnet-key-thanos.key", "tskey-given"]

    keys = made.keys.values()
    return pulumi.Output.all(secrecy(*keys), *keys).apply(check)


@pulumi.runtime.test
def test_no_key_is_made_where_one_is_given(mocks: Mocks) -> pulumi.Output[None]:
    made, _ = tailnet({"thanos": "tskey-given"})

    def check(_: object) -> None:
        assert mocks.one(KEY).name == "tailnet-key-oracle1"

    return everything(made).apply(check)


@pulumi.runtime.test
def test_children_use_the_components_provider(mocks: Mocks) -> pulumi.Output[None]:
    made, provider = tailnet()

    def check(values: list[object]) -> None:
        children = [r for r in mocks.registered if r.typ.startswith("tailscale:")]
        assert len(children) == 4
        for child in children:
            assert child.provider == f"{values[1]}::tailscale-id"
            assert child.parent == values[0]
        assert mocks.one("agentic-mesh:tailnet:Tailnet").name == "tailnet"
        assert mocks.calls == []

    return pulumi.Output.all(made.urn, provider.urn, everything(made)).apply(check)


@pulumi.runtime.test
def test_a_key_for_an_unknown_node_is_refused(mocks: Mocks) -> None:
    with pytest.raises(ValueError, match="'atlas'; the nodes are thanos, oracle1"):
        tailnet({"atlas": "tskey-given"})
