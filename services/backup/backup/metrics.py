"""The remembered state as metrics. They are read at each scrape, so that runs by command show too."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backup.schedule import due
from backup.settings import Settings
from backup.state import PartState, Store

PART_GAUGES: Final[tuple[tuple[str, str, Callable[[PartState], float]], ...]] = (
    ("last_success_timestamp_seconds", "When the part last succeeded; 0: never.", lambda p: p.success),
    ("last_attempt_timestamp_seconds", "When the part was last tried.", lambda p: p.attempt),
    ("failed", "Whether the last attempt at the part failed.", lambda p: p.error is not None),
    ("duration_seconds", "How long the last attempt took.", lambda p: p.seconds),
    ("size_bytes", "The part's size at its last success.", lambda p: p.size),
    ("added_bytes", "What the last success added to the repository, before compression.", lambda p: p.added),
    ("files", "Files in the part at its last success.", lambda p: p.files),
    ("snapshots", "Snapshots of the part in the repository.", lambda p: p.snapshots),
)


class StateCollector(Collector):
    """Makes metrics of the state file."""

    def __init__(self, settings: Settings, store: Store, up_since: float, now: Callable[[], float]) -> None:
        self._settings = settings
        self._store = store
        self._up_since = up_since
        self._now = now

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """All metrics."""
        state = self._store.load()
        for name, text, value in PART_GAUGES:
            gauge = GaugeMetricFamily(f"backup_{name}", text, labels=["part"])
            for part, known in sorted(state.parts.items()):
                gauge.add_metric([part], value(known))
            yield gauge
        whole: tuple[tuple[str, str, float], ...] = (
            ("last_run_success", "Whether the last run went well in all its parts.", state.ok),
            ("last_run_start_timestamp_seconds", "When the last run started; 0: never.", state.started),
            ("last_run_end_timestamp_seconds", "When the last run ended; 0: never.", state.ended),
            ("last_verified_timestamp_seconds", "When a check last succeeded; 0: never.", state.verified),
            ("verification_failed", "Whether the last check failed.", state.verify_error is not None),
            ("running", "Whether a run is under way.", self._store.running()),
            (
                "next_run_timestamp_seconds",
                "When the next run is due.",
                due(self._settings, state, self._now(), self._up_since)[0],
            ),
        )
        for name, text, number in whole:
            yield GaugeMetricFamily(f"backup_{name}", text, value=float(number))
