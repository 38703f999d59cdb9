"""A tailnet's settings, kept in a file: a stand-in for Tailscale's API that runs a policy's own tests, as that does."""
# ruff: noqa: ARG002 - the signatures are those of `Resource`

from __future__ import annotations

import json
import secrets
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from lab.provider import LabProvider, Resource, ResourceError, Values

DEFAULT_POLICY: Final = {
    "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}],
    "ssh": [
        {
            "action": "check",
            "src": ["autogroup:member"],
            "dst": ["autogroup:self"],
            "users": ["autogroup:nonroot", "root"],
        }
    ],
}
"""What a new tailnet starts with."""
_LOCK: Final = threading.Lock()


class Tailnet:
    """The stand-in: policy, DNS preferences and keys of one tailnet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Values:
        """Everything that is set."""
        if self._path.exists():
            found: Values = json.loads(self._path.read_text())
            return found
        return {"policy": json.dumps(DEFAULT_POLICY), "magicDns": False, "keys": {}}

    def write(self, **changes: Any) -> None:
        """Set something."""
        with _LOCK:
            self._path.write_text(json.dumps(self.read() | changes))

    def set_policy(self, text: str) -> None:
        """Refused, as Tailscale refuses it, where it is malformed or one of its own tests fails."""
        # The evaluator proves the policy in the unit tests; the stand-in asks the same questions of the same code.
        from tests.unit.acl import Acl, PolicyError

        try:
            failures = Acl(json.loads(text)).failures()
        except (ValueError, KeyError, PolicyError) as error:
            raise ResourceError(f"Failed to set ACL: {error} (400)") from error
        if failures:
            raise ResourceError(f"Failed to set ACL: test(s) failed (400): {'; '.join(failures)}")
        self.write(policy=text)


def _tailnet(config: Values) -> Tailnet:
    return Tailnet(Path(config["folder"]) / "tailnet.json")


class Acl(Resource):
    """`tailscale.Acl`: the one policy of the tailnet."""

    in_place: ClassVar[frozenset[str]] = frozenset({"acl", "overwriteExistingContent", "resetAclOnDestroy"})

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Never over a policy that somebody else wrote, unless told to."""
        tailnet = _tailnet(config)
        if json.loads(tailnet.read()["policy"]) != DEFAULT_POLICY and not inputs.get("overwriteExistingContent"):
            raise ResourceError(
                "! You seem to be trying to overwrite a non-default ACL with a tailscale_acl resource.\n"
                "Before doing this, please import your existing ACL into Terraform state (id: acl)"
            )
        tailnet.set_policy(inputs["acl"])
        return "acl", {}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """A policy that somebody edited shows as a change."""
        policy = _tailnet(config).read()["policy"]
        same = "acl" in inputs and json.loads(inputs["acl"]) == json.loads(policy)
        return (inputs if same else inputs | {"acl": policy}), outputs

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Set it."""
        _tailnet(config).set_policy(news["acl"])
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Back to the default only where that was asked for."""
        if inputs.get("resetAclOnDestroy"):
            _tailnet(config).write(policy=json.dumps(DEFAULT_POLICY))


class DnsPreferences(Resource):
    """`tailscale.DnsPreferences`."""

    in_place: ClassVar[frozenset[str]] = frozenset({"magicDns"})

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Set them."""
        _tailnet(config).write(magicDns=inputs["magicDns"])
        return "dns_preferences", {}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """As they are now."""
        return {"magicDns": _tailnet(config).read()["magicDns"]}, outputs

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Set them."""
        return self.create(config, news)[1]

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Off, as the real provider does it."""
        _tailnet(config).write(magicDns=False)


class TailnetKey(Resource):
    """`tailscale.TailnetKey`: a key to join; every change makes a new one."""

    in_place: ClassVar[frozenset[str]] = frozenset({"recreateIfInvalid"})

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it; its tags have to be in the policy."""
        tailnet = _tailnet(config)
        owned = json.loads(tailnet.read()["policy"]).get("tagOwners", {})
        if strange := [tag for tag in inputs.get("tags") or () if tag not in owned]:
            raise ResourceError(f"Failed to create key: requested tags {strange} are invalid or not permitted (400)")
        now = datetime.now(UTC).replace(microsecond=0)
        expires = now + timedelta(seconds=inputs.get("expiry") or 90 * 24 * 3600)
        identifier = f"k{secrets.token_hex(6)}"
        tailnet.write(keys={**tailnet.read()["keys"], identifier: expires.isoformat()})
        return identifier, {
            "key": f"tskey-auth-{identifier}-{secrets.token_hex(16)}",
            "createdAt": now.isoformat(),
            "expiresAt": expires.isoformat(),
            "invalid": False,
        }

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """Tailscale still shows a spent key for a while; one that was deleted is gone."""
        expires = _tailnet(config).read()["keys"].get(identifier)
        if expires is None:
            return None
        return inputs, {**outputs, "invalid": datetime.fromisoformat(expires) < datetime.now(UTC)}

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Nothing of the key itself changes."""
        return {}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Take it away."""
        tailnet = _tailnet(config)
        tailnet.write(keys={name: value for name, value in tailnet.read()["keys"].items() if name != identifier})


def provider(environment: Values) -> LabProvider:
    """The package."""
    resources: dict[str, Resource] = {
        "tailscale:index/acl:Acl": Acl(),
        "tailscale:index/dnsPreferences:DnsPreferences": DnsPreferences(),
        "tailscale:index/tailnetKey:TailnetKey": TailnetKey(),
    }
    return LabProvider("tailscale", resources, environment)
