"""Our own reading of a tailnet policy, to prove what it allows instead of how it is written.

It knows the selectors that the project uses and refuses all others: a proof over a policy that it only half
understands would be none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, Literal

ALL_PORTS: Final = range(1, 65536)
_SECTIONS: Final = {"tagOwners", "grants", "ssh", "tests", "sshTests"}
_ROLES: Final = {f"autogroup:{role}" for role in ("owner", "admin", "network-admin", "it-admin", "member")}
_KEYS: Final = {
    "grants": {"src", "dst", "ip"},
    "ssh": {"action", "src", "dst", "users"},
    "tests": {"src", "proto", "accept", "deny"},
    "sshTests": {"src", "dst", "accept", "check", "deny"},
}

Action = Literal["accept", "check", "deny"]
Grants = tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...]
"""Sources, destinations and ports of each grant."""


class PolicyError(ValueError):
    """The policy is one that Tailscale refuses, or that this evaluator does not understand."""


@dataclass(frozen=True)
class Acl:
    """A policy, with the questions that tests ask."""

    policy: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what is not understood."""
        if unknown := set(self.policy) - _SECTIONS:
            raise PolicyError(f"unknown sections {sorted(unknown)}")
        for section, keys in _KEYS.items():
            for entry in self.policy.get(section, ()):
                if unknown := set(entry) - keys:
                    raise PolicyError(f"{section}: unknown keys {sorted(unknown)}")
        self._check_rules()
        for owners in self.policy["tagOwners"].values():
            self._selectors(owners, "any")
        for test in (*self.policy.get("tests", ()), *self.policy.get("sshTests", ())):
            if test["src"].startswith("autogroup:") or test["src"] == "*":
                raise PolicyError(f"{test['src']} cannot be the source of a test")
            self._selectors([test["src"]], "any")

    def _check_rules(self) -> None:
        for grant in self.policy["grants"]:
            self._selectors(grant["src"], "any")
            self._selectors(grant["dst"], "tag")
            for ip in grant["ip"]:
                _port_range(ip)
        for rule in self.policy.get("ssh", ()):
            self._selectors(rule["src"], "any")
            self._selectors(rule["dst"], "tag")
            if rule["action"] == "check" and any(s.startswith("tag:") for s in rule["src"]):
                raise PolicyError("a tag cannot be asked who it is: check mode is for people")

    def _selectors(self, selectors: Iterable[str], kind: Literal["any", "tag"]) -> None:
        for selector in selectors:
            if selector == "*":
                continue
            if selector.startswith("tag:"):
                if selector not in self.policy["tagOwners"]:
                    raise PolicyError(f"{selector} has no owner, which Tailscale refuses")
            elif kind == "tag" or not ("@" in selector or selector in _ROLES):
                raise PolicyError(f"selector {selector!r} is not understood")

    def ports(self, src: str, dst: str, proto: str = "tcp") -> frozenset[int]:
        """All ports of `dst` that `src` reaches; both are selectors: a tag, a login, a group."""
        return _ports(self._grants, src, dst, proto)

    @cached_property
    def _grants(self) -> Grants:
        return tuple((tuple(g["src"]), tuple(g["dst"]), tuple(g["ip"])) for g in self.policy["grants"])

    def allows(self, src: str, dst: str, port: int, proto: str = "tcp") -> bool:
        """Whether a connection is let through."""
        return port in self.ports(src, dst, proto)

    def ssh(self, src: str, dst: str, user: str) -> Action:
        """What happens to a login; it needs the network's leave first, and check rules go before accept rules."""
        if not self.allows(src, dst, 22):
            return "deny"
        actions = {
            rule["action"]
            for rule in self.policy.get("ssh", ())
            if _matches(rule["src"], src) and _matches(rule["dst"], dst) and _login(rule, user)
        }
        return "check" if "check" in actions else "accept" if "accept" in actions else "deny"

    def failures(self) -> list[str]:
        """The policy's own tests that do not hold; Tailscale refuses a policy that has any."""
        return [*self._test_failures(), *self._ssh_failures()]

    def _test_failures(self) -> Iterable[str]:
        for test in self.policy.get("tests", ()):
            protocols = [test["proto"]] if "proto" in test else ["tcp", "udp"]
            for expected in ("accept", "deny"):
                for target in test.get(expected, ()):
                    dst, _, port = target.rpartition(":")
                    self._selectors([dst], "tag")
                    got = any(self.allows(test["src"], dst, int(port), p) for p in protocols)
                    if got != (expected == "accept"):
                        yield f"{test['src']} -> {target}/{'+'.join(protocols)}: not {expected}"

    def _ssh_failures(self) -> Iterable[str]:
        for test in self.policy.get("sshTests", ()):
            for expected in ("accept", "check", "deny"):
                for user in test.get(expected, ()):
                    for dst in test["dst"]:
                        got = self.ssh(test["src"], dst, user)
                        if got != expected:
                            yield f"ssh {test['src']} -> {user}@{dst}: {got}, not {expected}"


@cache
def _ports(grants: Grants, src: str, dst: str, proto: str) -> frozenset[int]:
    found: set[int] = set()
    for sources, targets, ips in grants:
        if _matches(sources, src) and _matches(targets, dst):
            for ip in ips:
                protocols, numbers = _port_range(ip)
                if proto in protocols:
                    found.update(numbers)
    return frozenset(found)


def _matches(selectors: Iterable[str], one: str) -> bool:
    return any(selector in ("*", one) for selector in selectors)


def _login(rule: Mapping[str, Any], user: str) -> bool:
    return user in rule["users"] or (user != "root" and "autogroup:nonroot" in rule["users"])


def _port_range(ip: str) -> tuple[tuple[str, ...], range]:
    """`*`, `22`, `80-90`, `tcp:22`, `tcp:*`: the protocols and the ports it stands for."""
    proto, _, numbers = ip.rpartition(":")
    if proto not in ("", "tcp", "udp"):
        raise PolicyError(f"protocol {proto!r} is not understood")
    protocols = (proto,) if proto else ("tcp", "udp")
    if numbers == "*":
        return protocols, ALL_PORTS
    first, _, last = numbers.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise PolicyError(f"ports {ip!r} are not understood")
    return protocols, range(int(first), int(last or first) + 1)
