"""The tailnet that joins the nodes: its policy, its names and the keys to join it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_tailscale as tailscale

from render.tailnet import acl_policy_text, node_tag
from topology.graph import Graph

KEY_SECONDS: Final = 7 * 24 * 3600
"""How long a key to join is good for: long enough for a first day that drags on."""


@dataclass(frozen=True, kw_only=True)
class TailnetArgs:
    """What the tailnet is made from."""

    graph: Graph
    operators: Sequence[str]
    """Logins, synced groups or `autogroup:` roles of those who operate the nodes."""
    epoch: int
    """The secrets epoch; a new one makes a fresh key for each node."""
    auth_keys: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Keys that the settings bring along, by node; none is made for these nodes."""


class Tailnet(pulumi.ComponentResource):
    """The tailnet's policy, DNS preferences and one key to join for each node.

    Creates:
      - `Acl`: the whole policy file. A tailnet has one, perhaps somebody else's, so it is never overwritten unseen:
        the first `up` fails on a policy that is not Tailscale's default, until `pulumi import` has adopted it and
        shown the difference. Destroying leaves the policy as it is; going back to the default, which allows
        everything, would open the nodes to the whole tailnet.
      - `DnsPreferences`: MagicDNS, so that nodes and operators use names. Kept on destroy: its deletion would turn
        MagicDNS off for every machine of the tailnet.
      - `TailnetKey` for each node without a key in `auth_keys`: tagged, authorized in advance, for one machine, good
        for a week. It is not made anew when spent or expired: a key that has done its work would otherwise be
        followed on the next `up` by one that waits unused for a thief. A machine that has to join again gets one by
        the next secrets epoch or by `pulumi up --replace <urn of the key>`. Tagged machines stay joined by themselves.

    The tags exist once the policy does, so the keys come after it. The provider comes with `opts`.
    """

    keys: Mapping[str, pulumi.Output[str]]
    """The key to join for each node, secret."""

    def __init__(self, name: str, args: TailnetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register everything; ValueError for a key of an unknown node or an operator that cannot be granted."""
        nodes = [node.name for node in args.graph.nodes]
        for node in args.auth_keys:
            if node not in nodes:
                raise ValueError(f"a key is given for {node!r}; the nodes are {', '.join(nodes)}")
        policy_text = acl_policy_text(args.graph, args.operators)
        super().__init__("agentic-mesh:tailnet:Tailnet", name, None, opts)
        policy = tailscale.Acl(
            f"{name}-acl",
            acl=policy_text,
            overwrite_existing_content=False,
            reset_acl_on_destroy=False,
            # A destroy would leave it in force and forget it, and the next `up` could not tell it from a stranger's.
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        tailscale.DnsPreferences(
            f"{name}-dns",
            magic_dns=True,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        keys: dict[str, pulumi.Output[str]] = {}
        for node in nodes:
            if node in args.auth_keys:
                keys[node] = pulumi.Output.secret(args.auth_keys[node])
                continue
            made = tailscale.TailnetKey(
                f"{name}-key-{node}",
                # Every change of a key replaces it; Tailscale takes letters, digits, dashes and blanks, 50 at most.
                description=f"{node} epoch {args.epoch}",
                tags=[node_tag(node)],
                preauthorized=True,
                reusable=False,
                ephemeral=False,
                expiry=KEY_SECONDS,
                recreate_if_invalid="never",
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
            keys[node] = pulumi.Output.secret(made.key)
        self.keys = keys
        self.register_outputs({"keys": keys})
