"""Executes one run, from its beginning or from its last checkpoint."""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final, cast

from mesh_agents import metrics
from mesh_agents.db import AWAY
from mesh_agents.errors import ApiError
from mesh_agents.graph.build import Graph, config
from mesh_agents.graph.state import Limits, RunState
from mesh_agents.logs import request_id
from mesh_agents.rag.jobs import Job
from mesh_agents.runs.store import Run, RunStore

_LOG: Final = logging.getLogger(__name__)
ATTEMPTS: Final = 5
"""How many workers may die with a run, or lose the database, until it is taken for what kills them."""
_CALLER: Final = "the caller cancelled it"
_LOST: Final = "the lease was lost"


class Executor:
    """What a worker does with a run."""

    def __init__(
        self, store: RunStore, graph: Graph, owner: str, lease_seconds: float, jobs: Mapping[str, Job] | None = None
    ) -> None:
        """`graph` has a checkpointer; `owner` names this worker; `jobs` do runs that are no conversation."""
        self._jobs = jobs or {}
        self._store = store
        self._graph = graph
        self._owner = owner
        self._beat = lease_seconds / 3
        self._in_hand: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        """Give back every run in hand: this worker goes down."""
        tasks = list(self._in_hand)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def execute(self, run_id: uuid.UUID) -> None:
        """Work on a run until it ends, is cancelled, or somebody else has it."""
        task = asyncio.current_task()
        if task is not None:
            self._in_hand.add(task)
            task.add_done_callback(self._in_hand.discard)
        request_id.set(str(run_id))
        claimed = await self._store.claim(run_id, self._owner)
        if claimed is None:
            return
        run, resumed = claimed
        if resumed:
            metrics.RUN_RESUMES.inc()
        await self._store.event(run.id, "resumed" if resumed else "started", {})
        _LOG.info("run %s", "taken over" if resumed else "begun", extra={"tenant": run.tenant})
        if run.attempts > ATTEMPTS:
            told = f"{ATTEMPTS} workers began the run and none came back from it"
            failure = {"message": told, "type": "server_error", "code": "workers_lost"}
            await self._end(run, "failed", reason="workers_lost", error=failure)
            return
        work = asyncio.create_task(self._work(run))
        watch = asyncio.create_task(self._watch(run.id, work))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.cancelled():  # the worker itself goes down: another may take over at once
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await self._store.release(run.id, self._owner)
                raise
            if await watch == _CALLER:
                await self._end(run, "cancelled", reason="caller")
            else:
                _LOG.warning("the lease was lost; the run stays for another worker")
        finally:
            watch.cancel()

    async def _work(self, run: Run) -> None:
        try:
            if job := self._jobs.get(run.request.get("job", "")):
                await self._end(run, "succeeded", reason="done", result=await self._job(run, job))
                return
            await self._conclude(run, await self._steps(run))
        except AWAY:
            # The lease runs out, and the run goes on from its checkpoint.
            _LOG.warning("the database went away; the run stays for another worker", exc_info=True)
        except ApiError as error:
            await self._end(run, "failed", reason=error.body.code or "error", error=error.envelope()["error"])
        except Exception:  # noqa: BLE001 - whatever it is, the run must end and say so
            _LOG.exception("the run failed")
            failure = {"message": "the run failed inside the service", "type": "server_error", "code": "internal"}
            await self._end(run, "failed", reason="internal", error=failure)

    async def _job(self, run: Run, job: Job) -> dict[str, Any]:
        """Do a job, from where the last worker that had it came to."""

        async def report(state: dict[str, Any]) -> None:
            await self._store.event(run.id, "progress", state)

        return await job(run, await self._store.last(run.id, "progress") or {}, report)

    async def _steps(self, run: Run) -> RunState:
        """Run the graph; every step is in its checkpoint before the next begins."""
        request = run.request
        thread = config(str(run.id), int(request["limits"]["steps"]))
        begun = (await self._graph.aget_state(thread)).values
        start: RunState | None = None if begun else _initial(run)
        async for update in self._graph.astream(start, thread, stream_mode="updates", durability="sync"):
            for node, change in update.items():
                await self._store.event(run.id, "step", _visible(node, change or {}))
        return cast(RunState, (await self._graph.aget_state(thread)).values)

    async def _conclude(self, run: Run, state: RunState) -> None:
        result = {
            "output": state.get("answer", ""),
            "route": state.get("decision"),
            "plan": state.get("plan"),
            "usage": state.get("usage"),
            "images": [
                {"url": f"/v1/runs/{run.id}/images/{number}", **image}
                for number, image in enumerate(state.get("images", ()), 1)
            ],
        }
        stop = state.get("stop")
        if stop is None:
            await self._end(run, "succeeded", reason="done", result=result)
            return
        told = "the run went round in circles" if stop == "loop" else f"the run reached its limit of {stop[6:]}"
        await self._end(
            run, "failed", reason=stop, result=result, error={"message": told, "type": "run_error", "code": stop}
        )

    async def _end(self, run: Run, status: str, *, reason: str, **outcome: Any) -> None:
        """Note the outcome; not, when somebody else has taken the run over."""
        if await self._store.end(run.id, self._owner, status, reason, **outcome):
            metrics.RUNS.labels(status, reason).inc()
            metrics.RUN_SECONDS.observe(time.time() - (run.started_at or run.created_at).timestamp())
            _LOG.info("run %s", status, extra={"reason": reason})

    async def _watch(self, run: uuid.UUID, work: asyncio.Task[None]) -> str:
        """Renew the lease, and stop the work when it is lost or the caller wants it; which of these."""
        silent_since: float | None = None
        while True:
            await asyncio.sleep(min(self._beat, 1.0))
            try:
                held = await self._store.renew(run, self._owner)
                silent_since = None
            except ApiError:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > 2 * self._beat:
                    work.cancel()
                    return _LOST
                continue
            if held is None or held.cancel_requested:
                work.cancel()
                return _LOST if held is None else _CALLER


def _initial(run: Run) -> RunState:
    request = run.request
    return {
        "run": str(run.id),
        "tenant": run.tenant,
        "messages": request["messages"],
        "forced_route": request.get("route"),
        "forced_model": request.get("model"),
        "limits": cast(Limits, request["limits"]),
        "started": (run.started_at or run.created_at).timestamp(),
        "notes": [],
        "images": [],
    }


def _visible(node: str, change: dict[str, Any]) -> dict[str, Any]:
    """What of a step a caller sees: how far the run is, not the whole of what was said."""
    shown = {key: change[key] for key in ("decision", "plan", "usage", "stop", "cursor") if change.get(key) is not None}
    return {"node": node, **shown}
