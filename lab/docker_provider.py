"""Networks, volumes and images on a real daemon, and the table of the docker package."""
# ruff: noqa: ARG002 - the signatures are those of `Resource`

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Final

from engine.check import Failure
from engine.docker_rules import docker_failures
from lab.docker_client import connect, found, removed, saying
from lab.docker_containers import Container
from lab.docker_schema import NETWORK, VOLUME
from lab.docker_state import labels, network_state, volume_state
from lab.provider import LabProvider, Resource, ResourceError, Values

_STANDS_FOR: Final = "labImage"
"""An input of our own: the lab's image, whose tag is the hash of what it was made from."""


class Network(Resource):
    """`docker.Network`: every change replaces it."""

    computed: ClassVar[frozenset[str]] = NETWORK.computed
    named: ClassVar[str] = "name"
    _known: ClassVar = {
        *("attachable", "driver", "ingress", "internal", "ipamConfigs", "ipv6", "labels", "name", "options"),
    }

    def check(self, inputs: Values) -> Iterable[Failure]:
        """What this provider would have to ignore."""
        return _unlearnt(inputs, self._known, "network")

    def changes(self, olds: Values, news: Values, state: Values) -> list[str]:
        """What differs from what was read back."""
        return list(NETWORK.changes(state, news))

    def same(self, name: str, one: Any, other: Any) -> bool:
        """As the real provider compares."""
        return NETWORK.same(name, one, other)

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make it; a second one of the same name is refused."""
        client = connect(config)
        pools = [
            {"Subnet": pool.get("subnet"), "Gateway": pool.get("gateway"), "IPRange": pool.get("ipRange")}
            for pool in inputs.get("ipamConfigs") or ()
        ]
        with saying("Unable to create network"):
            made = client.create_network(
                inputs["name"],
                driver=inputs.get("driver", "bridge"),
                options=inputs.get("options"),
                ipam={"Driver": "default", "Config": [_filled(pool) for pool in pools]} if pools else None,
                check_duplicate=True,
                internal=bool(inputs.get("internal")),
                labels=_labels(inputs),
                enable_ipv6=bool(inputs.get("ipv6")),
                attachable=inputs.get("attachable"),
            )
        return str(made["Id"]), NETWORK.after_create(inputs, network_state(client.inspect_network(made["Id"])))

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """One that was made anew by hand has another id: it is not ours."""
        state = found(lambda: connect(config).inspect_network(identifier))
        if state is None:
            return None
        now = network_state(state)
        if not inputs:
            return _imported(state), now
        return inputs | {
            key: now[key] for key in inputs if key in now and not self.same(key, inputs[key], now[key])
        }, now

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Once no container is on it any more."""
        removed(lambda: connect(config).remove_network(identifier), f"Unable to remove network {identifier}")


def _imported(state: dict[str, Any]) -> Values:
    """A network as a program would write it; what is empty it would leave out."""
    written = {
        "name": state["Name"],
        "driver": state["Driver"],
        "internal": state["Internal"],
        "ipamConfigs": [{"subnet": pool["Subnet"]} for pool in state["IPAM"]["Config"] or ()],
        "options": state["Options"],
        "labels": labels(state["Labels"]),
    }
    return {key: value for key, value in written.items() if value}


class Volume(Resource):
    """`docker.Volume`: every change replaces it."""

    computed: ClassVar[frozenset[str]] = VOLUME.computed
    named: ClassVar[str] = "name"

    def check(self, inputs: Values) -> Iterable[Failure]:
        """What this provider would have to ignore."""
        return _unlearnt(inputs, {"driver", "driverOpts", "labels", "name"}, "volume")

    def changes(self, olds: Values, news: Values, state: Values) -> list[str]:
        """What differs from what was read back."""
        return list(VOLUME.changes(state, news))

    def same(self, name: str, one: Any, other: Any) -> bool:
        """As the real provider compares."""
        return VOLUME.same(name, one, other)

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Docker takes a volume of that name that is there already."""
        with saying("Unable to create volume"):
            connect(config).create_volume(
                inputs["name"],
                driver=inputs.get("driver", "local"),
                driver_opts=inputs.get("driverOpts"),
                labels=_labels(inputs),
            )
        state = volume_state(connect(config).inspect_volume(inputs["name"]))
        return inputs["name"], VOLUME.after_create(inputs, state)

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """The volume's current state; None: it is gone."""
        state = found(lambda: connect(config).inspect_volume(identifier))
        if state is None:
            return None
        now = volume_state(state)
        if not inputs:
            return {key: now[key] for key in ("name", "driver", "labels")}, now
        return inputs | {
            key: now[key] for key in inputs if key in now and not self.same(key, inputs[key], now[key])
        }, now

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Once no container mounts it any more."""
        removed(lambda: connect(config).remove_volume(identifier), f"Unable to remove volume {identifier}")


class RemoteImage(Resource):
    """`docker.RemoteImage`: no registry is asked; the lab's own image of the reference has to be on the node."""

    in_place: ClassVar[frozenset[str]] = frozenset({"keepLocally", "forceRemove"})
    named: ClassVar[str] = "name"
    by_name: ClassVar[bool] = False

    def check(self, inputs: Values) -> Iterable[Failure]:
        """What this provider would have to ignore."""
        return _unlearnt(inputs, {"name", "platform", "keepLocally", "forceRemove", "pullTriggers"}, "remote image")

    def completed(self, config: Values, inputs: Values) -> Values:
        """Which of the lab's images it is: one that was built anew is another."""
        tag = config["images"].get(inputs.get("name"))
        return {_STANDS_FOR: tag} if tag else {}

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Find it."""
        identifier = _local(config, inputs["name"])
        return identifier + inputs["name"], {"imageId": identifier, "repoDigest": identifier}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """Gone where nobody has it any more."""
        try:
            image = _local(config, inputs["name"])
        except ResourceError:
            return None
        return inputs, {"imageId": image, "repoDigest": image}

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Nothing of the image itself changes."""
        return {key: olds[key] for key in ("imageId", "repoDigest")}

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """Images of the lab are its cache and stay, whatever `keepLocally` says."""


class Image(Resource):
    """`docker.Image`: built on the node from its context; its content decides, not the tag."""

    in_place: ClassVar[frozenset[str]] = frozenset(
        {"build", "contextDigest", "skipPush", "buildOnPreview", _STANDS_FOR}
    )
    by_name: ClassVar[bool] = False
    remade: ClassVar[frozenset[str]] = frozenset({"repoDigest"})

    def check(self, inputs: Values) -> Iterable[Failure]:
        """The lab has no registry to push to."""
        if not inputs.get("skipPush"):
            yield Failure("skipPush", "the lab has no registry; give skipPush")
        yield from _unlearnt(inputs, {"imageName", "build", "skipPush", "buildOnPreview", "contextDigest"}, "image")

    def completed(self, config: Values, inputs: Values) -> Values:
        """The context's content, so that a changed file shows in the plan."""
        if inputs.get("imageName") in config["images"]:
            return {_STANDS_FOR: config["images"][inputs["imageName"]]}
        context = (inputs.get("build") or {}).get("context", ".")
        return {"contextDigest": folder_digest(Path(context))} if isinstance(context, str) else {}

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Build it, or take the lab's own image of that name."""
        name = inputs["imageName"]
        if name in config["images"]:
            identifier = _local(config, name)
        else:
            identifier = _build(config, name, inputs.get("build") or {})
        build = inputs.get("build") or {}
        return name, {
            "repoDigest": identifier,
            "baseImageName": name,
            "context": build.get("context", "."),
            "platform": build.get("platform"),
        }

    def update(self, config: Values, identifier: str, olds: Values, news: Values) -> Values:
        """Build it anew."""
        return self.create(config, news)[1]

    def delete(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> None:
        """The real provider leaves it on the host, too."""


def folder_digest(folder: Path) -> str:
    """Changes with the name, mode and content of any file below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_mode}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _build(config: Values, name: str, build: Values) -> str:
    client = connect(config)
    said: list[str] = []
    with saying(f"building {name}"):
        for line in client.build(
            path=build.get("context", "."),
            dockerfile=build.get("dockerfile"),
            buildargs=build.get("args"),
            target=build.get("target"),
            platform=build.get("platform"),
            tag=name,
            rm=True,
            forcerm=True,
            decode=True,
        ):
            said.append(str(line.get("stream", "")))
            if "error" in line:
                raise ResourceError(f"building {name}: {line['error']}\n{''.join(said)[-2000:]}")
    return str(client.inspect_image(name)["Id"])


def _local(config: Values, reference: str) -> str:
    """The id of the image that stands for a reference on the node."""
    client = connect(config)
    for name in filter(None, (config["images"].get(reference), reference)):
        image = found(functools.partial(client.inspect_image, name))
        if image is not None:
            return str(image["Id"])
    raise ResourceError(
        f"Unable to read Docker image into resource: the lab has no image for {reference}, and nothing is pulled "
        "in the lab; add it to lab/images/catalog.py"
    )


def _unlearnt(inputs: Values, known: Iterable[str], what: str) -> Iterable[Failure]:
    for name in sorted(inputs.keys() - set(known)):
        if not name.startswith("__"):
            yield Failure(name, f"the lab's docker provider has not learnt this argument of a {what} yet")


def _labels(inputs: Values) -> dict[str, str]:
    return {item["label"]: item["value"] for item in inputs.get("labels") or ()}


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


class DockerProvider(LabProvider):
    """With `anyForm` in its environment it accepts values that are read back in another form.

    The plan refuses them; tests use this to show what such a value does.
    """

    def refusals(self, token: str, values: Values) -> Iterable[Failure]:
        """As in the plan; without the read-back rules if `anyForm` is set."""
        return docker_failures(token, values, any_form=bool(self._environment.get("anyForm")))


def provider(environment: Values) -> LabProvider:
    """The package."""
    resources: dict[str, Resource] = {
        "docker:index/container:Container": Container(),
        "docker:index/network:Network": Network(),
        "docker:index/volume:Volume": Volume(),
        "docker:index/remoteImage:RemoteImage": RemoteImage(),
        "docker:index/image:Image": Image(),
    }
    return DockerProvider("docker", resources, environment)
