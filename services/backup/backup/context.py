"""What every command works with."""

import threading
from dataclasses import dataclass, field

from backup.logs import Log
from backup.restic import Restic
from backup.settings import Settings
from backup.state import Store


@dataclass(frozen=True, kw_only=True)
class Context:
    """Settings, the log, the remembered state, and the event that ends everything in order."""

    settings: Settings
    log: Log
    store: Store
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def restic(self) -> Restic:
        """The commands of restic on the node's repository."""
        return Restic(self.settings, self.stop)
