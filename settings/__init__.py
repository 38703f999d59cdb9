"""A stack's settings: read once, checked whole, frozen; no resource is made before they hold."""

from settings.errors import SettingsError
from settings.model import AlertTargets, BackupStore, Budget, LogStore, Models, Secret, Settings

__all__ = [
    "AlertTargets",
    "BackupStore",
    "Budget",
    "LogStore",
    "Models",
    "Secret",
    "Settings",
    "SettingsError",
]
