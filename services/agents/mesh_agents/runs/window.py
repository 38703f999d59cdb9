"""When heavy jobs may start."""

from datetime import datetime, time, timedelta


def opens(now: datetime, begin: time, end: time) -> datetime | None:
    """When the window opens next; None: it is open at `now`. A window may pass midnight; begin = end: always open."""
    if begin == end:
        return None
    clock = now.timetz().replace(tzinfo=None)
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    if inside:
        return None
    start = now.replace(hour=begin.hour, minute=begin.minute, second=0, microsecond=0)
    return start if start > now else start + timedelta(days=1)
