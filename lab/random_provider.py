"""Random values, as good as the operating system's."""
# ruff: noqa: ARG002 - the signatures are those of `Resource`

from __future__ import annotations

import secrets
import string
from typing import Any

from lab.provider import LabProvider, Resource, ResourceError, Values

_CLASSES = (
    ("lower", "minLower", string.ascii_lowercase),
    ("upper", "minUpper", string.ascii_uppercase),
    ("numeric", "minNumeric", string.digits),
    ("special", "minSpecial", "!@#$%&*()-_=+[]{}<>:?"),
)


class RandomPassword(Resource):
    """`random.RandomPassword`: any change makes a new one."""

    def create(self, config: Values, inputs: Values) -> tuple[str, Values]:
        """Make one."""
        result = password(inputs)
        # Its hash is an output of the real provider too; nothing of ours reads it, and bcrypt costs time.
        return "none", {"result": result}

    def read(self, config: Values, identifier: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        """Import takes the password itself for the id."""
        if "result" not in outputs:
            return {"length": len(identifier)}, {"result": identifier}
        return inputs, outputs


def password(inputs: Values) -> str:
    """A password of the classes, least numbers and length that the inputs ask for."""
    length = int(inputs["length"])
    alphabet, required = "", []
    for wanted, least, usual in _CLASSES:
        characters = inputs.get("overrideSpecial") or usual if wanted == "special" else usual
        if inputs.get(wanted, inputs.get("number", True) if wanted == "numeric" else True):
            alphabet += characters
        required += [secrets.choice(characters) for _ in range(int(inputs.get(least, 0)))]
    if not alphabet or len(required) > length:
        raise ResourceError(f"no password of length {length} can have all that is asked of it")
    found = required + [secrets.choice(alphabet) for _ in range(length - len(required))]
    secrets.SystemRandom().shuffle(found)
    return "".join(found)


def provider(environment: Values) -> LabProvider:
    """The package."""
    resources: dict[str, Any] = {"random:index/randomPassword:RandomPassword": RandomPassword()}
    return LabProvider("random", resources, environment)
