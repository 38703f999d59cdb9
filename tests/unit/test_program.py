"""The program as a whole: its outputs, its hints, and its one message where it cannot go on."""

import logging
import re
from typing import Any

import pulumi
import pytest

from components.platform.images import NodeImages, NodeImagesArgs
from components.platform.shared import OUTPUT
from tests.unit.mocks import Mocks, everything, secrecy
from tests.unit.program import CONTAINER, SHARED, Program, ProgramMocks, labels, uploads
from tests.unit.samples import nodes
from topology.images import IMAGES, Image
from topology.secrets import FOR_PEOPLE

UNKNOWN = pulumi.runtime.rpc.UNKNOWN
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"


class Alone(ProgramMocks):
    """The other stack was never deployed."""

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """Its outputs are empty."""
        self.calls.append(args)
        return {"outputs": {}}


def test_exports_name_endpoints_images_and_the_end_of_certificates(oracle1: Program) -> None:
    assert set(oracle1.outputs) == {"endpoints", "images", "certificateExpiry", "keys"}
    assert oracle1.outputs["endpoints"]["grafana"] == "100.64.1.2:3000"
    assert oracle1.outputs["images"]["kong"] == IMAGES["kong"].reference
    assert oracle1.outputs["certificateExpiry"].keys() == oracle1.apps.keys() | {"gateway"}


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_what_thanos_shares_is_secret(thanos: Program) -> pulumi.Output[None]:
    assert set(thanos.outputs) == {"endpoints", "images", "certificateExpiry", OUTPUT, "authKeys"}

    def check(secret: list[bool]) -> None:
        assert secret == [True, True]

    return secrecy(thanos.outputs[OUTPUT], thanos.outputs["authKeys"]).apply(check)


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_what_people_enter_somewhere_is_shown_to_them_alone(oracle1: Program) -> pulumi.Output[None]:
    def check(secret: list[bool]) -> None:
        assert secret == [True]

    def each(keys: dict[str, str]) -> None:
        assert keys.keys() == FOR_PEOPLE.keys()
        assert keys["n8n"].startswith("sk-")

    shown = oracle1.outputs["keys"]
    return pulumi.Output.all(secrecy(shown).apply(check), shown.apply(each)).apply(lambda _: None)


def refused(caplog: pytest.LogCaptureFixture, stack: str, mocks: Mocks | None = None, **config: Any) -> str:
    """The one message that the program ends in."""
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as stop:
        Program(stack, mocks=mocks, **config)
    assert stop.value.code == 1
    [message] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    return message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"gpuShares": {"comfyui": 99}}, "agentic-mesh:gpuShares is "),
        ({"claudeApiKey": None}, "agentic-mesh:claudeApiKey is not set"),
        ({"typo": "x"}, "agentic-mesh:typo is not a setting"),
        ({"ports": {"kong": 8080}}, "agentic-mesh:ports is "),
    ],
)
def test_a_bad_setting_ends_it_before_any_resource(
    caplog: pytest.LogCaptureFixture, config: dict[str, Any], said: str
) -> None:
    mocks = ProgramMocks()
    assert refused(caplog, "oracle1", mocks, **config).startswith(said)
    assert mocks.registered == []


def test_a_deploy_before_the_foundation_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    mocks = Alone()
    assert refused(caplog, "oracle1", mocks).endswith("Deploy it first: pulumi up --stack thanos")
    assert mocks.of(CONTAINER) == []


def test_a_plan_before_the_foundation_goes_on_with_unknown_values(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        program = Program("oracle1", preview=True, mocks=Alone())
    hints = [r.getMessage() for r in caplog.records if "pulumi up --stack thanos" in r.getMessage()]
    assert len(hints) == 1
    assert len(program.apps) == 22
    for name in ("litellm", "agents", "kong", "qdrant-replica"):
        assert "unknown" not in str(program.app(name).inputs).lower()


class Partly(ProgramMocks):
    """The foundation's stack after an `up` of a few targets: what was not made is the engine's mark for unknown."""

    def __init__(self, shared: object) -> None:
        super().__init__()
        self.shared = shared

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        return {"outputs": {OUTPUT: self.shared}} if args.token == "pulumi:pulumi:readStackOutputs" else {}


PARTLY = [
    pytest.param(UNKNOWN, id="all of it"),
    pytest.param({**SHARED, "authorityCertificate": UNKNOWN}, id="one value"),
    pytest.param({**SHARED, "secrets": {**SHARED["secrets"], "qdrant-api-key": UNKNOWN}}, id="one secret"),
]


@pytest.mark.parametrize("shared", PARTLY)
def test_after_an_up_of_a_few_targets_the_rest_is_not_there_yet(
    caplog: pytest.LogCaptureFixture, shared: object
) -> None:
    mocks = Partly(shared)
    assert refused(caplog, "oracle1", mocks).endswith("Deploy it first: pulumi up --stack thanos")
    assert mocks.of(CONTAINER) == []


@pytest.mark.parametrize("shared", PARTLY)
def test_and_a_plan_keeps_the_hint(caplog: pytest.LogCaptureFixture, shared: object) -> None:
    with caplog.at_level(logging.WARNING):
        program = Program("oracle1", preview=True, mocks=Partly(shared))
    assert len([r for r in caplog.records if "pulumi up --stack thanos" in r.getMessage()]) == 1
    assert UNKNOWN not in str([container.inputs for container in program.containers.values()])


def test_an_image_that_is_not_built_for_the_node_stops_the_plan(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kong = Image(reference=IMAGES["kong"].reference, platforms=("linux/amd64",))
    monkeypatch.setitem(IMAGES, "kong", kong)
    message = refused(caplog, "oracle1", nodes=nodes(architecture="arm64"))
    assert message.startswith("agentic-mesh:nodes.oracle1.architecture is 'arm64'.")
    assert re.search(r"\bkong\b.* not built for linux/arm64", message)


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_an_arm_node_pulls_and_builds_images_for_arm(mocks: Mocks) -> pulumi.Output[None]:
    made = NodeImages("images", NodeImagesArgs(architecture="arm64", keys=("kong", "agents")))

    def check(_: object) -> None:
        pulled = mocks.one("docker:index/remoteImage:RemoteImage").inputs
        assert (pulled["name"], pulled["platform"]) == (IMAGES["kong"].reference, "linux/arm64")
        built = mocks.one("docker:index/image:Image").inputs
        assert built["build"]["platform"] == "linux/arm64"
        assert built["build"]["context"].endswith("/services/agents")
        assert built["skipPush"] is True

    return everything(made).apply(check)


def test_a_control_node_may_own_the_foundation(owner: Program) -> None:
    assert owner.mocks.one("agentic-mesh:foundation:Foundation").name == "foundation"
    assert OUTPUT in owner.outputs
    assert not owner.mocks.of("pulumi:pulumi:StackReference")


def test_a_tailnet_of_somebody_else_is_left_alone(thanos: Program, owner: Program) -> None:
    def tailnet(program: Program) -> set[str]:
        kinds = {r.typ for r in program.mocks.registered}
        return {kind for kind in kinds if kind.startswith(("tailscale:", "pulumi:providers:tailscale"))}

    assert tailnet(owner) == set()
    assert len(tailnet(thanos)) == 4


def test_a_certificate_of_ones_own_takes_the_place_of_the_self_signed(oracle1: Program, owner: Program) -> None:
    files = uploads(owner.loader_of(owner.app("edge")))
    assert files["/config/certificate.pem"] == "-----BEGIN CERTIFICATE-----\nown"
    assert files["/config/key.pem"] == "-----BEGIN KEY-----\nof my own"
    made = {r.name for r in oracle1.mocks.of(SELF_SIGNED)}
    assert made == {"edge-public-certificate"}
    assert made.isdisjoint(r.name for r in owner.mocks.of(SELF_SIGNED))


def test_a_store_of_ones_own_makes_nothing_on_aws_and_reaches_its_readers(titan: Program) -> None:
    assert not [r for r in titan.mocks.registered if r.typ.startswith(("aws:", "pulumi:providers:aws"))]
    files = uploads(titan.loader_of(titan.app("backup")))
    assert (files["/config/access-key"], files["/config/secret-key"]) == ("AccessOfMine", "StoreOfMine")
    assert "BACKUP_HOST=s3.example.com" in titan.app("backup").inputs["envs"]


def test_a_second_gpu_node_is_a_stack_of_the_same_program(thanos: Program, titan: Program) -> None:
    assert {labels(c)["node"] for c in titan.containers.values()} == {"titan"}
    here = {name.replace("thanos", "titan") for name in thanos.containers if "-qdrant" not in name}
    assert titan.containers.keys() == here
    assert {p["ip"] for p in titan.proxy("gateway").inputs["ports"]} == {"100.64.1.3"}
    assert not titan.mocks.of("agentic-mesh:foundation:Foundation")
    [docker] = titan.mocks.of("pulumi:providers:docker")
    assert docker.inputs["host"] == "ssh://deploy@titan"


def test_nodes_of_one_account_have_buckets_of_their_own(thanos: Program, oracle1: Program) -> None:
    buckets = [p.mocks.one("aws:s3/bucket:Bucket").inputs["bucket"] for p in (thanos, oracle1)]
    assert buckets == ["agentic-mesh-backup-thanos", "agentic-mesh-backup-oracle1"]
