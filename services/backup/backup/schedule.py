"""When what is due. Pure functions of the time; all of it in UTC, which has no hour that comes twice or never."""

import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

from backup.settings import Settings
from backup.state import State

DAY: Final = 86400.0
CHECK_OVERDUE_DAYS: Final = 8
CHECK_APART_HOURS: Final = 20


def slot(settings: Settings, now: float) -> float:
    """The last daily time that has come.

    The jitter is the node's own and the same each day: nodes do not load the store together, and a person can tell
    when a run will be.
    """
    spread = settings.jitter_minutes * 60
    offset = zlib.crc32(settings.node.encode()) % spread if spread else 0
    today = datetime.fromtimestamp(now, UTC).replace(
        hour=settings.at.hour, minute=settings.at.minute, second=0, microsecond=0
    )
    moment = (today + timedelta(seconds=offset)).timestamp()
    while moment > now:
        moment -= DAY
    return moment


def due(settings: Settings, state: State, now: float, up_since: float) -> tuple[float, bool]:
    """When the next run starts, and whether it is only for what failed in the last one.

    A run that was missed or broken off, or the first of a node, follows once the container has been up for a while.
    """
    last = slot(settings, now)
    settled = up_since + settings.settle_seconds
    if state.started < last or state.ended < state.started:
        return max(last, settled), False
    if not state.ok:
        retry = state.ended + settings.retry_minutes * 60
        if retry < last + DAY:
            return max(retry, settled), True
    return last + DAY, False


def check_due(settings: Settings, verified: float, now: float) -> bool:
    """Whether a run ends with a check: on its day of the week, or when that was missed."""
    if now - verified > CHECK_OVERDUE_DAYS * DAY:
        return True
    today = datetime.fromtimestamp(now, UTC).weekday()
    return today == settings.check_day and now - verified > CHECK_APART_HOURS * 3600


def check_slice(settings: Settings, now: float) -> int:
    """Which slice of the data this week's check reads, from 1."""
    week = int(now // (7 * DAY))
    return week % settings.check_slices + 1
