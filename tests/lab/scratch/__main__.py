"""A small program in the shape of a pod: network, filled config volume, a container that waits for its health."""

import os

import pulumi
import pulumi_docker as docker
import pulumi_random as random
import pulumi_tls as tls

from topology.images import IMAGES

MEMORY = int(os.environ.get("SCRATCH_MEMORY", "32"))
TEXT = os.environ.get("SCRATCH_TEXT", "one")
PORT = os.environ.get("SCRATCH_PROBE_PORT", "8000")
# Forms that a program can well be written in, and that the provider reads back as others.
OTHER_FORMS = os.environ.get("SCRATCH_FORMS") == "other"
EARLY = int(os.environ.get("SCRATCH_EARLY_HOURS", "1"))

config = pulumi.Config("agentic-mesh")
on_node = pulumi.ResourceOptions(provider=docker.Provider("docker", host=config.require("dockerHost")))
keys = pulumi.ResourceOptions(provider=tls.Provider("tls"))

image = docker.RemoteImage("image", name=IMAGES["busybox"].reference, keep_locally=True, opts=on_node)
password = random.RandomPassword(
    "password",
    length=24,
    special=False,
    keepers={"epoch": os.environ.get("SCRATCH_EPOCH", "1")},
    opts=pulumi.ResourceOptions(provider=random.Provider("random")),
)
key = tls.PrivateKey("key", algorithm="ECDSA", ecdsa_curve="P256", opts=keys)
certificate = tls.SelfSignedCert(
    "certificate",
    private_key_pem=key.private_key_pem,
    validity_period_hours=100,
    early_renewal_hours=EARLY,
    allowed_uses=["server_auth"],
    opts=keys,
)
network = docker.Network(
    "network",
    name="lab-scratch",
    driver="bridge",
    internal=True,
    ipam_configs=[docker.NetworkIpamConfigArgs(subnet="10.199.0.0/24", gateway="10.199.0.1")],
    opts=on_node,
)
volume = docker.Volume("volume", name="lab-scratch", opts=on_node)
loader = docker.Container(
    "loader",
    name="lab-scratch-loader",
    image=image.image_id,
    start=False,
    must_run=False,
    network_mode="none",
    memory=16,
    memory_swap=None if OTHER_FORMS else 16,
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/config")],
    uploads=[
        docker.ContainerUploadArgs(
            file="/config/www/index.html",
            content=password.result.apply(lambda secret: f"{TEXT} {secret}"),
            owner="1000",
            group="1000",
            permissions="0400",
        ),
        docker.ContainerUploadArgs(file="/config/certificate.pem", content=certificate.cert_pem),
    ],
    opts=on_node,
)
docker.Container(
    "app",
    name="lab-scratch-app",
    image=image.image_id,
    command=["httpd", "-f", "-p", "8000", "-h", "/config/www"],
    user="1000:1000",
    labels=[docker.ContainerLabelArgs(label="version", value=loader.id)],
    read_only=True,
    memory=MEMORY,
    memory_swap=MEMORY,
    cpus="1" if OTHER_FORMS else "1.0",
    capabilities=docker.ContainerCapabilitiesArgs(drops=["all"] if OTHER_FORMS else ["ALL"]),
    restart="unless-stopped",
    must_run=True,
    init=True,
    destroy_grace_seconds=1,
    networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, ipv4_address="10.199.0.2")],
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/config", read_only=True)],
    healthcheck=docker.ContainerHealthcheckArgs(
        tests=["CMD", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/"],
        interval="1s",
        timeout="1s",
        start_period="60s" if OTHER_FORMS else "1m0s",
        retries=2,
    ),
    device_requests=[
        docker.ContainerDeviceRequestArgs(driver="nvidia", device_ids=["0"], capabilities=["gpu", "utility"])
    ],
    wait=True,
    wait_timeout=8,
    opts=pulumi.ResourceOptions.merge(on_node, pulumi.ResourceOptions(depends_on=[loader])),
)
if os.environ.get("SCRATCH_IMPORT"):
    docker.Network(
        "by-hand",
        name="lab-scratch-by-hand",
        driver="bridge",
        internal=True,
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet="10.198.0.0/24", gateway="10.198.0.1")],
        opts=pulumi.ResourceOptions.merge(on_node, pulumi.ResourceOptions(import_=os.environ["SCRATCH_IMPORT"])),
    )
