"""What the settings refuse, and whether a refusal says all that a person needs."""

import re
from typing import Any

import pytest

from settings import SettingsError
from settings.load import SECRETS
from tests.unit.samples import settings


def refused(config: dict[str, Any], stack: str = "oracle1") -> str:
    """The one message that these keys end in, beside the needed ones."""
    with pytest.raises(SettingsError) as error:
        settings(stack, **config)
    return str(error.value)


def fixes(message: str, key: str, stack: str = "oracle1", *, remove: bool = False) -> bool:
    """Whether it names the key, what is allowed, and a whole command that sets it, or removes what has no place.

    A secret's command asks for the value: in an argument it would stay in the shell's history.
    """
    first, _, second = message.partition("\n")
    secret = key in SECRETS
    command = "rm" if remove else "set --secret" if secret else "set"
    path = " --path" if "." in key else ""
    example = "" if secret or remove else r" '[^\n]+'"
    fix = rf"  Fix it with: pulumi config {command}{path} 'agentic-mesh:{re.escape(key)}'{example} --stack {stack}"
    return (
        first.startswith(f"agentic-mesh:{key} is ") and ". Allowed: " in first and re.fullmatch(fix, second) is not None
    )
