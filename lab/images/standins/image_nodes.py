"""Nodes of ComfyUI's graphs that the stand-in knows, and what is wrong with a graph.

The inputs are from Comfy-Org/ComfyUI's `nodes.py` and `comfy/samplers.py` (a125cd84, v0.3.64), the checks, their order
and their words from `execution.py` (04e2a914). Errors of a node are found where an output needs it; a graph is taken
where one output of it is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SAMPLERS: Final = (
    *("euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2"),
    *("dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp"),
    *("dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
    *("dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm"),
    *("ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral"),
    *("res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2"),
    *("seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2"),
)
SCHEDULERS: Final = (
    *("simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic"),
    "kl_optimal",
)
SUFFIXES: Final = (".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft")
"""`folder_paths.py`: what counts as a model."""
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_RESOLUTION: Final = 16384
_CONVERT: Final[Mapping[str, Callable[[Any], Any]]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclass(frozen=True)
class Input:
    """One input of a node: its type, or the choices there are."""

    type: str | tuple[str, ...]
    low: float | None = None
    high: float | None = None
    folder: str = ""
    """Where the choices lie, below `models`; `input` for pictures."""


@dataclass(frozen=True)
class Node:
    """A class of nodes; all of its inputs are required."""

    inputs: Mapping[str, Input]
    returns: tuple[str, ...] = ()
    output: bool = False
    category: str = ""


def _number(kind: str, low: float, high: float) -> Input:
    return Input(kind, low, high)


_FRACTION: Final = _number("FLOAT", 0.0, 1.0)
_STRENGTH: Final = _number("FLOAT", -100.0, 100.0)
NODES: Final[Mapping[str, Node]] = {
    "CheckpointLoaderSimple": Node(
        {"ckpt_name": Input((), folder="checkpoints")}, ("MODEL", "CLIP", "VAE"), category="loaders"
    ),
    "CLIPTextEncode": Node(
        {"text": Input("STRING"), "clip": Input("CLIP")}, ("CONDITIONING",), category="conditioning"
    ),
    "EmptyLatentImage": Node(
        {
            "width": _number("INT", 16, MAX_RESOLUTION),
            "height": _number("INT", 16, MAX_RESOLUTION),
            "batch_size": _number("INT", 1, 4096),
        },
        ("LATENT",),
        category="latent",
    ),
    "KSampler": Node(
        {
            "model": Input("MODEL"),
            "seed": _number("INT", 0, 0xFFFFFFFFFFFFFFFF),
            "steps": _number("INT", 1, 10000),
            "cfg": _number("FLOAT", 0.0, 100.0),
            "sampler_name": Input(SAMPLERS),
            "scheduler": Input(SCHEDULERS),
            "positive": Input("CONDITIONING"),
            "negative": Input("CONDITIONING"),
            "latent_image": Input("LATENT"),
            "denoise": _FRACTION,
        },
        ("LATENT",),
        category="sampling",
    ),
    "LoadImage": Node({"image": Input((), folder="input")}, ("IMAGE", "MASK"), category="image"),
    "LoraLoader": Node(
        {
            "model": Input("MODEL"),
            "clip": Input("CLIP"),
            "lora_name": Input((), folder="loras"),
            "strength_model": _STRENGTH,
            "strength_clip": _STRENGTH,
        },
        ("MODEL", "CLIP"),
        category="loaders",
    ),
    "PreviewImage": Node({"images": Input("IMAGE")}, output=True, category="image"),
    "SaveImage": Node({"images": Input("IMAGE"), "filename_prefix": Input("STRING")}, output=True, category="image"),
    "VAEDecode": Node({"samples": Input("LATENT"), "vae": Input("VAE")}, ("IMAGE",), category="latent"),
    "VAEEncode": Node({"pixels": Input("IMAGE"), "vae": Input("VAE")}, ("LATENT",), category="latent"),
}
"""Some of the program's own; there are no others, since custom nodes are off."""


class InvalidPromptError(Exception):
    """A graph that is not queued: the error, and what is wrong with its nodes."""

    def __init__(self, kind: str, message: str, details: str, nodes: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body = {"error": fault(kind, message, details), "node_errors": nodes or {}}


def fault(kind: str, message: str, details: str, **more: Any) -> dict[str, Any]:
    """One error as ComfyUI writes it."""
    return {"type": kind, "message": message, "details": details, "extra_info": more}


@dataclass
class Folders:
    """Where models and pictures lie."""

    base: Path

    def choices(self, folder: str) -> list[str]:
        """Names of the files of a kind."""
        place = self.base / folder if folder == "input" else self.base / "models" / folder
        suffixes = PICTURES if folder == "input" else SUFFIXES
        found = place.rglob("*") if folder != "input" else place.glob("*")
        return sorted(str(f.relative_to(place)) for f in found if f.is_file() and f.suffix.lower() in suffixes)

    def input(self, name: str) -> Path:
        """A picture that a graph loads; `name [output]` is one of another folder (`folder_paths.py`)."""
        for kind in ("output", "input", "temp"):
            if name.endswith(f"[{kind}]"):
                return self.base / kind / name.removesuffix(f"[{kind}]").strip()
        return self.base / "input" / name


def outputs(graph: Any, folders: Folders, only: Iterable[str] | None = None) -> tuple[list[str], dict[str, Any]]:
    """The outputs of a graph that can be made, and the errors of the others' nodes.

    Raises:
        InvalidPromptError: none of them can be made.

    """
    found = _outputs(graph, only)
    checks = _Checks(graph, folders)
    good: list[str] = []
    reasons: list[str] = []
    nodes: dict[str, Any] = {}
    for name in found:
        valid, errors = checks.output(name)
        if valid:
            good.append(name)
            continue
        reasons += [f"{error['message']}: {error['details']}" for error in errors]
        for each, (fine, wrong) in checks.done.items():
            if not fine and wrong:
                entry = {"errors": wrong, "dependent_outputs": [], "class_type": graph[each]["class_type"]}
                nodes.setdefault(each, entry)["dependent_outputs"].append(name)
    if not good:
        kind, said = "prompt_outputs_failed_validation", "Prompt outputs failed validation"
        raise InvalidPromptError(kind, said, "\n".join(reasons), nodes)
    return good, nodes


def _outputs(graph: Mapping[str, Any], only: Iterable[str] | None) -> list[str]:
    """Nodes that make something, of a graph whose nodes all exist."""
    found = []
    for name, node in graph.items():
        title = node.get("_meta", {}).get("title")
        if "class_type" not in node:
            said = f"Node '{title or f'ID #{name}'}' has no class_type. "
            said += "The workflow may be corrupted or a custom node is missing."
            raise InvalidPromptError("missing_node_type", said, f"Node ID '#{name}'")
        if node["class_type"] not in NODES:
            said = f"Node '{title or node['class_type']}' not found. The custom node may not be installed."
            raise InvalidPromptError("missing_node_type", said, f"Node ID '#{name}'")
        if NODES[node["class_type"]].output and (only is None or name in only):
            found.append(name)
    if not found:
        raise InvalidPromptError("prompt_no_outputs", "Prompt has no outputs", "")
    return found


@dataclass
class _Checks:
    graph: Mapping[str, Any]
    folders: Folders
    done: dict[str, tuple[bool, list[dict[str, Any]]]] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)

    def output(self, name: str) -> tuple[bool, list[dict[str, Any]]]:
        """As `node`; whatever else a graph provokes is told, as there."""
        try:
            return self.node(name)
        except Exception as error:  # noqa: BLE001
            said = "Exception when validating node"
            self.done[name] = (False, [fault("exception_during_validation", said, str(error))])
            return self.done[name]

    def node(self, name: str) -> tuple[bool, list[dict[str, Any]]]:
        """Whether a node and all that it needs are right, and its own errors."""
        if name in self.done:
            return self.done[name]
        if name in self.path:
            cycle = [*self.path[self.path.index(name) :], name]
            said = " -> ".join(f"{each} ({self.graph[each]['class_type']})" for each in cycle)
            for each in cycle:
                self.done[each] = (False, [fault("dependency_cycle", "Dependency cycle detected", said, node_id=each)])
            return self.done[name]
        given, kind = self.graph[name]["inputs"], self.graph[name]["class_type"]
        valid, errors = True, []
        for key, wanted in NODES[kind].inputs.items():
            if key not in given:
                errors.append(fault("required_input_missing", "Required input is missing", key, input_name=key))
            elif isinstance(given[key], list):
                wrong, right = self._link(name, key, given[key], wanted)
                errors += wrong
                valid &= right
            else:
                errors += self._value(given, key, wanted)
        before = self.done.get(name, (True, []))
        self.done[name] = (before[0] and valid and not errors, [*before[1], *(e for e in errors if e not in before[1])])
        return self.done[name]

    def _link(self, name: str, key: str, value: list[Any], wanted: Input) -> tuple[list[dict[str, Any]], bool]:
        if len(value) != 2:
            said = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return [fault("bad_linked_input", said, key, input_name=key, received_value=value)], True
        other, slot = value
        found = NODES[self.graph[other]["class_type"]].returns[slot]
        if found != wanted.type:
            type_ = wanted.type if isinstance(wanted.type, str) else list(wanted.type)
            details = f"{key}, received_type({found}) mismatch input_type({type_})"
            said = "Return type mismatch between linked nodes"
            return [fault("return_type_mismatch", said, details, input_name=key, linked_node=value)], True
        try:
            self.path.append(name)
            try:
                return [], self.node(other)[0]
            finally:
                self.path.pop()
        except Exception as error:  # noqa: BLE001 - as there
            said = "Exception when validating inner node"
            wrong = fault("exception_during_inner_validation", said, str(error), input_name=key, linked_node=value)
            self.done[other] = (False, [wrong])
            return [], False

    def _value(self, given: dict[str, Any], key: str, wanted: Input) -> list[dict[str, Any]]:
        value = given[key]
        if isinstance(value, dict) and "__value__" in value:
            value = given[key] = value["__value__"]
        if wanted.folder == "input":
            if self.folders.input(str(value)).is_file():
                return []
            details = f"{key} - Invalid image file: {value}"
            return [fault("custom_validation_failed", "Custom validation failed for node", details, input_name=key)]
        if wanted.type in _CONVERT:
            try:
                value = given[key] = _CONVERT[str(wanted.type)](value)
            except Exception as error:  # noqa: BLE001 - as there
                said = f"Failed to convert an input value to a {wanted.type} value"
                return [fault("invalid_input_type", said, f"{key}, {value}, {error}", input_name=key)]
        if wanted.low is not None and value < wanted.low:
            said = f"Value {value} smaller than min of {wanted.low}"
            return [fault("value_smaller_than_min", said, key, input_name=key, received_value=value)]
        if wanted.high is not None and value > wanted.high:
            said = f"Value {value} bigger than max of {wanted.high}"
            return [fault("value_bigger_than_max", said, key, input_name=key, received_value=value)]
        if isinstance(wanted.type, tuple):
            options = self.folders.choices(wanted.folder) if wanted.folder else list(wanted.type)
            if value not in options:
                listed = f"(list of length {len(options)})" if len(options) > 20 else str(options)
                details = f"{key}: {value!r} not in {listed}"
                return [fault("value_not_in_list", "Value not in list", details, input_name=key, received_value=value)]
        return []


def info(name: str, folders: Folders) -> dict[str, Any]:
    """A class of nodes as `GET /object_info` has it."""
    node = NODES[name]
    required = {}
    for key, each in node.inputs.items():
        kind = folders.choices(each.folder) if each.folder else each.type
        required[key] = [kind, {} if each.low is None else {"min": each.low, "max": each.high}]
    return {
        "input": {"required": required},
        "input_order": {"required": list(required)},
        "output": list(node.returns),
        "output_is_list": [False] * len(node.returns),
        "output_name": list(node.returns),
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": node.category,
        "output_node": node.output,
    }
