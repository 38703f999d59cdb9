"""The yardstick of `make bench`: as many bare resources of each kind as a stack has, and nothing else.

Of each kind, since the SDK resolves some seventy outputs for a container and eight for a volume. Kinds of which a stack
has a few only stand as volumes.
"""

import json
import os
from collections.abc import Callable

import pulumi
import pulumi_docker as docker
import pulumi_random as random
import pulumi_tls as tls

options = pulumi.ResourceOptions(
    providers=[
        docker.Provider("flat", host="unix:///var/run/docker.sock"),
        random.Provider("flat"),
        tls.Provider("flat"),
    ]
)
root = pulumi.ComponentResource("flat:index:Root", "root", None, options)
child = pulumi.ResourceOptions(parent=root)

KINDS: dict[str, Callable[[str], object]] = {
    "docker:index/container:Container": lambda name: docker.Container(name, image="busybox:1", opts=child),
    "docker:index/network:Network": lambda name: docker.Network(name, opts=child),
    "docker:index/remoteImage:RemoteImage": lambda name: docker.RemoteImage(name, name="busybox:1", opts=child),
    "random:index/randomPassword:RandomPassword": lambda name: random.RandomPassword(name, length=48, opts=child),
    "tls:index/privateKey:PrivateKey": lambda name: tls.PrivateKey(name, algorithm="ECDSA", opts=child),
    "tls:index/certRequest:CertRequest": lambda name: tls.CertRequest(name, private_key_pem="key", opts=child),
    "tls:index/locallySignedCert:LocallySignedCert": lambda name: tls.LocallySignedCert(
        name,
        allowed_uses=["server_auth"],
        ca_cert_pem="certificate",
        ca_private_key_pem="key",
        cert_request_pem="request",
        validity_period_hours=720,
        opts=child,
    ),
}


def plain(kind: str) -> Callable[[str], object]:
    """How to make a bare resource of a kind."""
    if kind.startswith("agentic-mesh:"):
        return lambda name: pulumi.ComponentResource("flat:index:Component", name, None, child)
    return KINDS.get(kind, lambda name: docker.Volume(name, opts=child))


for index, (kind, count) in enumerate(json.loads(os.environ["FLAT_RESOURCES"]).items()):
    # Providers are made above.
    if not kind.startswith("pulumi:"):
        for number in range(count):
            plain(kind)(f"flat-{index}-{number}")
