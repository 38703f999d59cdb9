"""The pack on the real engine: it stops what it must, and sees values as a plan has them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from engine.cli import find_pulumi
from engine.outcome import Outcome
from engine.planning import plan_stacks
from engine.root import CHECKOUT
from engine.toolchain import PULUMI, tool_path

pytestmark = pytest.mark.engine

Plan = Callable[..., Outcome]

CONTAINER = """
    import pulumi, pulumi_docker as docker, pulumi_random as random

    password = random.RandomPassword("password", length=48)
    hardened = dict(
        name="agentic-mesh-redis-config-loader",
        image="docker.io/library/busybox:1.38.0",
        labels=[docker.ContainerLabelArgs(label=f"agentic-mesh.{key}", value=value) for key, value in {
            "service": "redis", "node": "thanos", "part": "loader", "version": password.id}.items()],
        start=False, must_run=False, network_mode="none",
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges=true"],
        uploads=[docker.ContainerUploadArgs(file="/config/password", content=password.result)],
    )
    """


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Plans a program on the real engine, with the project's pack unless told otherwise."""
    if not tool_path(PULUMI).exists() and not shutil.which("pulumi"):
        pytest.skip("no engine on this machine; `make tools` builds it")

    def run(program: str, *, pack: bool = True) -> Outcome:
        project = tmp_path / "project"
        project.mkdir(exist_ok=True)
        (project / "Pulumi.yaml").write_text("name: agentic-mesh\nruntime: python\n")
        (project / "Pulumi.thanos.yaml").write_text("config: {}\n")
        (project / "__main__.py").write_text(dedent(CONTAINER) + dedent(program))
        policies = CHECKOUT / "policies" if pack else None
        (outcome,), _ = plan_stacks(project, ["thanos"], find_pulumi(), tmp_path / "plan", policy_pack=policies)
        return outcome

    return run


def test_a_mandatory_violation_stops_the_plan_that_passes_without_the_pack(plan: Plan) -> None:
    program = """
        docker.Container("redis", **{**hardened, "privileged": True, "security_opts": None})
        """
    assert plan(program, pack=False).passed

    outcome = plan(program)

    assert not outcome.passed
    found = next(violation for violation in outcome.violations if violation.mandatory)
    assert (found.policy, found.resource) == ("isolated-containers", "redis")
    assert found.message.startswith("agentic-mesh-redis-config-loader: privileged is true. Fix: ")


def test_secrets_and_what_is_not_known_yet_reach_every_rule(plan: Plan) -> None:
    outcome = plan(
        """
        docker.Container("file", **hardened)
        docker.Container("known", **{**hardened, "envs": [pulumi.Output.secret("API_KEY=correct-horse")]})
        docker.Container("unknown", **{**hardened, "envs": [pulumi.Output.concat("API_KEY=", password.result)]})
        """
    )

    assert not outcome.passed
    mandatory = {violation.resource: violation for violation in outcome.violations if violation.mandatory}
    # A generated secret in a file passes, although neither its value nor the label made from it is known yet.
    assert set(mandatory) == {"known", "unknown"}
    assert {violation.policy for violation in mandatory.values()} == {"hidden-secrets"}
    assert "not known at plan time" in mandatory["unknown"].message
    assert "correct-horse" not in str(outcome.to_json())


def test_advice_stops_nothing(plan: Plan) -> None:
    outcome = plan('docker.Container("file", **hardened)')

    assert outcome.passed
    assert [(v.policy, v.mandatory, v.resource) for v in outcome.violations] == [("image-digests", False, "file")]


def test_rules_on_the_whole_stack_see_where_values_come_from(plan: Plan) -> None:
    outcome = plan(
        """
        import pulumi_aws as aws
        aws_provider = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-central-1"))
        bucket = aws.s3.Bucket("backup", bucket="backup", object_lock_enabled=True, opts=aws_provider)
        aws.s3.BucketVersioning("versions", bucket=bucket.id, opts=aws_provider,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"))
        """
    )

    assert not outcome.passed
    messages = [v.message for v in outcome.violations if v.policy == "protected-buckets"]
    assert len(messages) == 5  # all protections but the versions, whose bucket has no id yet
    assert not any("BucketVersioning " in message for message in messages)
