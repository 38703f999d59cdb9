"""No secret where `docker inspect`, a process list or a log shows it. Messages never repeat the value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from policies.subject import CONTAINER, subject
from policies.values import Props, Unknown, finding, listed, show, whole

PASSWORD: Final = "random:index/randomPassword:RandomPassword"  # noqa: S105 - a resource type
LEAST_LENGTH: Final = 32

_SECRET_WORDS: Final = frozenset(
    {
        "apikey", "credential", "credentials", "key", "keys", "pass", "passphrase", "passwd", "password",
        "pgpassword", "pwd", "secret", "secrets", "token",
    }
)  # fmt: skip
_SHAPES: Final = {
    "an Anthropic key": re.compile(r"\bsk-ant-[\w-]{8,}"),
    "an OpenRouter key": re.compile(r"\bsk-or-[\w-]{8,}"),
    "a model provider's key": re.compile(r"\bsk-[A-Za-z0-9]{20,}"),
    "a Tailscale key": re.compile(r"\btskey-[\w-]{8,}"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
    "a Slack webhook": re.compile(r"hooks\.slack\.com/services/\w"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a URL with a password": re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s:@]+@", re.IGNORECASE),
}
_PLAIN_VALUES: Final = re.compile(r"|true|false|on|off|yes|no|none|null|\d{1,6}", re.IGNORECASE)
_PATH: Final = re.compile(r"(?:file:(?://)?)?/(?:[\w.@-]+/)*[\w.@-]+")
_ARGUMENT: Final = re.compile(r"--?([A-Za-z][\w-]*)(?:=(.*))?", re.DOTALL)
_FIX: Final = "hand it over as a file in the pod's config volume"


def no_secret_environment(type_: str, props: Props) -> Iterator[str]:
    """No secret in the environment, which `docker inspect` shows; a secret of Pulumi's is plain there too."""
    if type_ != CONTAINER:
        return
    where = subject(props).name
    for entry in listed(props, "envs"):
        if not isinstance(entry, str):
            yield finding(
                where,
                "a variable of its environment is not known at plan time, as generated secrets are",
                f"state it as plain text; if it is a secret, {_FIX}",
            )
            continue
        name, given, value = entry.partition("=")
        name = name if given else "a variable"  # without a value the text may be the secret itself
        if _is_secret_name(name) and _is_literal(value):
            yield finding(where, f"its environment holds a secret: {name}", f"{_FIX} and name that in {name}_FILE")
        elif shape := shape_of(entry):
            yield finding(where, f"{name} of its environment holds {shape}", _FIX)


def no_secret_label(type_: str, props: Props) -> Iterator[str]:
    """No secret in a label of a container, network or volume."""
    if not type_.startswith("docker:"):
        return
    for entry in listed(props, "labels"):
        name, value = entry.get("label"), entry.get("value")
        if not isinstance(name, str):
            yield finding(show(props.get("name")), "a label is not known at plan time", "name it as plain text")
        elif _is_secret_name(name) and _is_literal(value):
            yield finding(show(props.get("name")), f"label {name} holds a secret", f"take it out and {_FIX}")
        elif shape := shape_of(value):
            yield finding(show(props.get("name")), f"label {name} holds {shape}", f"take it out and {_FIX}")


def no_secret_argument(type_: str, props: Props) -> Iterator[str]:
    """No secret in a command line, which every process list shows."""
    if type_ != CONTAINER:
        return
    where = subject(props).name
    for key in ("command", "entrypoints"):
        for argument, following in pairwise([*listed(props, key), ""]):
            if not isinstance(argument, str):
                what = f"an argument of its {key} is not known at plan time, as generated secrets are"
                yield finding(where, what, f"state it as plain text; if it is a secret, {_FIX}")
            elif shape := shape_of(argument):
                yield finding(where, f"its {key} holds {shape}", _FIX)
            elif match := _ARGUMENT.fullmatch(argument):
                value = following if match[2] is None and not str(following).startswith("-") else match[2]
                if _is_secret_name(match[1]) and _is_literal(value or ""):
                    yield finding(where, f"its {key} hands over a secret: {match[1]}", _FIX)


def long_secrets(type_: str, props: Props) -> Iterator[str]:
    """Generated secrets are too long to guess."""
    if type_ != PASSWORD:
        return
    length = props.get("length")
    if (whole(length) or 0) < LEAST_LENGTH:
        yield finding(show(props.get("name")), f"its length is {show(length)}", f"set length to {LEAST_LENGTH} or more")


def shape_of(value: Any) -> str | None:
    """What a text gives away that is a secret by its form."""
    if not isinstance(value, str):
        return None
    return next((what for what, pattern in _SHAPES.items() if pattern.search(value)), None)


def _is_secret_name(name: str) -> bool:
    words = re.split(r"[_.\-]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    return not _SECRET_WORDS.isdisjoint(words) and words[-1] not in ("file", "path", "names", "name", "id", "ttl")


def _is_literal(value: Any) -> bool:
    """Neither a switch or a number nor the path of a file that holds the secret."""
    if isinstance(value, Unknown):
        return True
    return not _PLAIN_VALUES.fullmatch(value) and not _PATH.fullmatch(value) if isinstance(value, str) else False
