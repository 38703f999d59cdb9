"""Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector


class ServiceMetrics:
    """All of them, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "interpreter_http_requests", "HTTP requests", ["method", "route", "status"], registry=self.registry
        )
        self.runs = Counter(
            "interpreter_runs", "Runs by how they ended", ["language", "status"], registry=self.registry
        )
        self.run_seconds = Histogram(
            "interpreter_run_seconds",
            "Time that user code ran",
            ["language"],
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120),
            registry=self.registry,
        )
        self.queue_seconds = Histogram(
            "interpreter_queue_seconds",
            "Time that a run waited for its turn",
            buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30),
            registry=self.registry,
        )
        self.running = Gauge("interpreter_running", "Runs at this moment", registry=self.registry)
        self.waiting = Gauge("interpreter_waiting", "Runs that wait for their turn", registry=self.registry)
        self.sessions = Gauge("interpreter_sessions", "Open sessions", registry=self.registry)
        self.refused = Counter("interpreter_refused", "Requests turned away", ["reason"], registry=self.registry)
        self.unclean = Counter(
            "interpreter_unclean_boxes", "Boxes whose processes or files could not be removed", registry=self.registry
        )
