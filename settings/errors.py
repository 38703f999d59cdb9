"""The one error that bad settings end in."""

PROJECT = "agentic-mesh"


class SettingsError(ValueError):
    """A setting is wrong: says which key, what it holds, what is allowed and the command that mends it."""

    def __init__(
        self,
        key: str,
        found: object,
        allowed: str,
        *,
        stack: str,
        example: str = "VALUE",
        secret: bool = False,
    ) -> None:
        """Compose the message; `found` is left out of it for secrets."""
        flag = " --secret" if secret else ""
        shown = "(hidden)" if secret and found is not None else repr(found)
        is_now = "is not set" if found is None else f"is {shown}"
        path = " --path" if "." in key else ""
        # A secret's value is asked for by the command: in an argument it would stay in the shell's history.
        value = "" if secret else f" '{example}'"
        super().__init__(
            f"{PROJECT}:{key} {is_now}. Allowed: {allowed}.\n"
            f"  Mend it with: pulumi config set{flag}{path} '{PROJECT}:{key}'{value} --stack {stack}"
        )
        self.key = key


class UnknownKeyError(SettingsError):
    """A key that the program does not know: most often a typing error."""

    def __init__(self, key: str, near: str | None, known: str, *, stack: str) -> None:
        """Name the nearest known key where there is one."""
        hint = f" Did you mean {near!r}?" if near else ""
        path = " --path" if "." in key else ""
        ValueError.__init__(
            self,
            f"{PROJECT}:{key} is not a setting.{hint} Known: {known}.\n"
            f"  Mend it with: pulumi config rm{path} '{PROJECT}:{key}' --stack {stack}",
        )
        self.key = key
