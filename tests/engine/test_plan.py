"""Small programs planned on the real engine."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.planning import plan_stacks

pytestmark = pytest.mark.engine

MakeProject = Callable[..., Path]
Plan = Callable[[Path], list[Outcome]]

POLICIES = """
    from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

    def no_root(args, report):
        if args.props.get("user") == "root":
            report(f"{args.name} runs as root")

    def digest(args, report):
        if args.resource_type.endswith(":Container") and "@sha256:" not in args.props["image"]:
            report(f"{args.name} has no digest")

    PolicyPack("agentic-mesh", enforcement_level=EnforcementLevel.MANDATORY, policies=[
        ResourceValidationPolicy("no-root", "Not as root.", no_root),
        ResourceValidationPolicy("digest", "Pin.", digest, enforcement_level=EnforcementLevel.ADVISORY),
    ])
    """


def test_two_stacks_plan_without_any_account(
    make_project: MakeProject, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(
        """
        import os
        import pulumi, pulumi_aws as aws, pulumi_docker as docker, pulumi_random as random
        import pulumi_tailscale as tailscale, pulumi_tls as tls

        key = tls.PrivateKey("ca", algorithm="ECDSA", ecdsa_curve="P256")
        password = random.RandomPassword("password", length=32)
        access = aws.iam.AccessKey("backup", user=aws.iam.User("backup").name)
        tag = tailscale.TailnetKey("node", tags=["tag:node"])
        for name, value in {"key": key.private_key_pem, "password": password.result, "access": access.secret,
                            "tailnet": tag.key, "public": key.public_key_pem}.items():
            pulumi.Output.from_input(value.is_secret()).apply(
                lambda secret, name=name: pulumi.log.warn(f"{name} secret: {secret}"))
        labels = [docker.ContainerLabelArgs(label=f"agentic-mesh.{k}", value=v)
                  for k, v in {"service": "app", "node": pulumi.get_stack(), "part": "app"}.items()]
        docker.Container("app", image="busybox:1", labels=labels)
        pulumi.export("key", key.private_key_pem)
        if pulumi.get_stack() == "oracle1":
            other = pulumi.StackReference("organization/agentic-mesh/thanos")
            pulumi.export("shared", other.get_output("key"))
        pulumi.log.warn("API key: " + os.environ["CLAUDE_API_KEY"])
        """,
        policies=POLICIES,
    )
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "not-to-be-used")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere")
    monkeypatch.setenv("PULUMI_HOME", "/nowhere")
    monkeypatch.delenv("CLAUDE_API_KEY", raising=False)
    before = {path.name: path.read_bytes() for path in project.glob("Pulumi*")}

    thanos, oracle1 = plan(project)

    assert (thanos.errors, oracle1.errors) == ([], [])
    assert thanos.passed
    assert oracle1.passed
    # key, password, user, access key, tailnet key, container, and a default provider for each of the five packages
    assert thanos.resources == 11
    assert oracle1.resources == 12  # the stack reference has a provider too
    assert [c.labels for c in oracle1.containers] == [{"service": "app", "node": "oracle1", "part": "app"}]
    secret = {name: f"{name} secret: True" for name in ("key", "password", "access", "tailnet")}
    assert {*secret.values(), "public secret: False"} <= set(thanos.warnings)
    assert "API key: placeholder-for-the-plan" in thanos.warnings
    found = [(v.policy, v.mandatory, v.message) for v in thanos.violations if not v.undecided]
    assert found == [("digest", False, "app has no digest")]
    # The access key's user is not known before the deploy.
    assert [v.resource for v in thanos.violations if v.undecided] == ["backup"]
    assert {path.name: path.read_bytes() for path in project.glob("Pulumi*")} == before


def test_what_fails_is_said_once_and_clearly(make_project: MakeProject, plan: Plan) -> None:
    project = make_project(
        """
        import pulumi, pulumi_docker as docker

        class SettingsError(ValueError):
            pass

        if pulumi.get_stack() == "oracle1":
            raise SettingsError("agentic-mesh:domain is 'x'.\\n  Fix it with: pulumi config set")
        docker.Container("root", image="busybox:1@sha256:0", user="root")
        docker.Container("upload", image="busybox:1@sha256:0", read_only=True,
                         uploads=[docker.ContainerUploadArgs(file="/a", content=pulumi.Output.secret("hidden"))])
        """,
        policies=POLICIES,
    )

    thanos, oracle1 = plan(project)

    assert oracle1.errors == ["agentic-mesh:domain is 'x'.\n  Fix it with: pulumi config set"]
    assert any("read-only root" in error and error.startswith("upload: uploads:") for error in thanos.errors)
    assert not any("hidden" in error for error in thanos.errors)


def test_an_argument_that_the_provider_does_not_know_fails_the_plan(make_project: MakeProject, plan: Plan) -> None:
    project = make_project(
        """
        import pulumi

        class Raw(pulumi.CustomResource):
            pass

        Raw("docker:index/container:Container", "raw", {"image": "busybox:1", "pidsLimit": 10})
        """
    )
    thanos, _ = plan(project)
    assert thanos.errors == ["raw: pidsLimit: unknown property"]


def test_a_mandatory_violation_fails_the_plan(make_project: MakeProject, plan: Plan) -> None:
    project = make_project(
        """
        import pulumi_docker as docker
        docker.Container("app", image="busybox:1@sha256:0", user="root")
        """,
        policies=POLICIES,
    )
    thanos, _ = plan(project)
    assert thanos.errors == []
    assert [(v.policy, v.mandatory, v.resource) for v in thanos.violations] == [("no-root", True, "app")]
    assert not thanos.passed


def test_a_program_that_logs_its_error_and_exits_says_it_once(make_project: MakeProject, plan: Plan) -> None:
    project = make_project(
        """
        import sys
        import pulumi

        pulumi.log.error("agentic-mesh:domain is not set.")
        sys.exit(1)
        """
    )
    thanos, _ = plan(project)
    assert thanos.errors == ["agentic-mesh:domain is not set."]


def test_a_bug_shows_where_it_is(make_project: MakeProject, plan: Plan) -> None:
    project = make_project("{}['missing']")
    thanos, _ = plan(project)
    (error,) = thanos.errors
    assert "__main__.py" in error
    assert error.endswith("KeyError: 'missing'")


SHOW_KEY = """
    import pulumi
    key = pulumi.Config("agentic-mesh").require_secret("apiKey")
    pulumi.Output.unsecret(key).apply(lambda value: pulumi.log.warn(f"opened: {value == 'real'}"))
    """


def seal(project: Path, pulumi: Path, tmp_path: Path, passphrase: str) -> None:
    """Store a secret in the project's own configuration, as a user does."""
    env = os.environ | {
        "PULUMI_BACKEND_URL": tmp_path.as_uri(),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": passphrase,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    for command in (["stack", "init", "thanos"], ["config", "set", "--secret", "agentic-mesh:apiKey", "real"]):
        subprocess.run([str(pulumi), *command], cwd=project, env=env, check=True, capture_output=True)


@pytest.mark.parametrize("passphrase", ["right", "wrong"])
def test_encrypted_values_are_used_where_the_passphrase_opens_them(
    passphrase: str,
    make_project: MakeProject,
    pulumi: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = make_project(SHOW_KEY)
    (project / "Pulumi.oracle1.yaml").unlink()
    seal(project, pulumi, tmp_path, "right")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", passphrase)

    (thanos,), notices = plan_stacks(project, ["thanos"], pulumi, tmp_path / "preview")

    assert thanos.errors == []
    assert thanos.warnings == [f"opened: {passphrase == 'right'}"]
    assert len(notices) == (passphrase == "wrong")
