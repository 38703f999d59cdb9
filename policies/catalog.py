"""The policies of the pack: each the rules of one concern, with what they demand and their enforcement.

The SDK unpacks a resource anew for every policy, so that thirty policies of one rule each would cost a preview three
times as much as these.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pulumi_policy import EnforcementLevel, Policy

from policies import (
    buckets,
    gpu,
    hardening,
    images,
    isolation,
    mesh,
    networks,
    plaintext,
    ports,
    subject,
    tailnet,
    volumes,
)
from policies.adapter import resource_policy, stack_policy
from policies.values import ResourceRule, StackRule

_MANDATORY: Final = EnforcementLevel.MANDATORY
_ADVISORY: Final = EnforcementLevel.ADVISORY


class OnResources(NamedTuple):
    """Rules on the inputs of one resource."""

    name: str
    description: str
    level: EnforcementLevel
    rules: tuple[ResourceRule, ...]


class OnStack(NamedTuple):
    """Rules on all resources of a stack together."""

    name: str
    description: str
    level: EnforcementLevel
    rules: tuple[StackRule, ...]


ON_RESOURCES: Final = (
    OnResources(
        "isolated-containers",
        "Containers have nothing of the host, and their labels say what they are.",
        _MANDATORY,
        (
            subject.labelled,
            isolation.only_containers,
            isolation.not_privileged,
            isolation.no_host_namespace,
            isolation.no_docker_socket,
            isolation.few_capabilities,
            isolation.no_new_privileges,
            volumes.read_only_binds,
        ),
    ),
    OnResources(
        "hardened-containers",
        "Containers are read-only, not root, limited, restarted and watched, unless the topology says why not.",
        _MANDATORY,
        (
            hardening.read_only_root,
            hardening.non_root,
            hardening.no_exec_tmpfs,
            hardening.limits,
            hardening.restarts,
            hardening.log_rotation,
            hardening.health,
        ),
    ),
    OnResources(
        "closed-networks",
        "Networks are shut off from host and world; gateways alone publish, on the tailnet address.",
        _MANDATORY,
        (networks.internal_networks, networks.no_outside_resolver, ports.published_ports),
    ),
    OnResources(
        "gpu-and-sandbox",
        "GPUs are for the services that need one; the code interpreter runs under gVisor.",
        _MANDATORY,
        (gpu.gpu_for_gpu_services, gpu.sandboxed),
    ),
    OnResources(
        "hidden-secrets",
        "Secrets are long and stand in no environment, label or command line.",
        _MANDATORY,
        (
            plaintext.no_secret_environment,
            plaintext.no_secret_label,
            plaintext.no_secret_argument,
            plaintext.long_secrets,
        ),
    ),
    OnResources("image-versions", "Images have the tag of one version.", _MANDATORY, (images.never_latest,)),
    OnResources("image-digests", "Images are pinned by digest.", _ADVISORY, (images.pinned,)),
    OnResources(
        "closed-tailnet",
        "The tailnet's policy accepts no wildcard and has tests.",
        _MANDATORY,
        (tailnet.closed_acl, tailnet.tested_acl),
    ),
    OnResources(
        "bucket-access",
        "Buckets refuse plain HTTP, and their keys rotate.",
        _MANDATORY,
        (buckets.tls_only, buckets.rotated_keys),
    ),
    OnResources(
        "checked-at-deploy",
        "What a plan cannot know yet, the deploy checks.",
        _ADVISORY,
        (buckets.checked_at_deploy,),
    ),
)

ON_STACKS: Final = (
    OnStack(
        "mesh",
        "Every app is alone with its proxy, and every proxy lets in the graph's callers and no other.",
        _MANDATORY,
        (networks.right_networks, mesh.behind_proxies, mesh.equal_allow_lists),
    ),
    OnStack(
        "encrypted-data",
        "Data lies under the encrypted data root, and little of the host is seen.",
        _MANDATORY,
        (volumes.encrypted_volumes, volumes.known_binds),
    ),
    OnStack(
        "protected-buckets",
        "Buckets are versioned, encrypted, private, locked and tidied.",
        _MANDATORY,
        (buckets.protected_buckets,),
    ),
    OnStack("own-images", "Images come from this stack.", _MANDATORY, (images.own_images,)),
)


def policies() -> list[Policy]:
    """The pack's policies, in the order in which they are reported."""
    return [
        *(resource_policy(name, text, rules, level) for name, text, level, rules in ON_RESOURCES),
        *(stack_policy(name, text, rules, level) for name, text, level, rules in ON_STACKS),
    ]
