"""The one error that bad settings end in."""

PROJECT = "agentic-mesh"


class SettingsError(ValueError):
    """A setting is wrong: says which key, what it holds, what is allowed and the command that fixes it."""

    def __init__(
        self,
        key: str,
        found: object,
        allowed: str,
        *,
        stack: str,
        example: str = "VALUE",
        secret: bool = False,
        remove: bool = False,
    ) -> None:
        """Compose the message; `found` is left out of it for secrets. `remove`: the key should not be there."""
        shown = "(hidden)" if secret and found is not None else repr(found)
        is_now = "is not set" if found is None else f"is {shown}"
        super().__init__(f"{PROJECT}:{key} {is_now}. Allowed: {allowed}.{_fix(key, stack, example, secret, remove)}")
        self.key = key


class UnknownKeyError(SettingsError):
    """A key that the program does not know: most often a typing error."""

    def __init__(self, key: str, near: str | None, known: str, *, stack: str) -> None:
        """Name the nearest known key where there is one."""
        hint = f" Did you mean {near!r}?" if near else ""
        fix = _fix(key, stack, "", secret=False, remove=True)
        ValueError.__init__(self, f"{PROJECT}:{key} is not a setting.{hint} Known: {known}.{fix}")
        self.key = key


def _fix(key: str, stack: str, example: str, secret: bool, remove: bool) -> str:
    path = " --path" if "." in key else ""
    command = "rm" if remove else "set --secret" if secret else "set"
    # A secret's value is asked for by the command: in an argument it would stay in the shell's history.
    value = "" if secret or remove else f" '{example}'"
    return f"\n  Fix it with: pulumi config {command}{path} '{PROJECT}:{key}'{value} --stack {stack}"
