"""The supervisor graph, as the architecture draws it."""

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy

from mesh_agents.errors import ApiError
from mesh_agents.graph.nodes import Nodes, after_monitor, after_route
from mesh_agents.graph.prompts import WORKERS
from mesh_agents.graph.state import RunState
from mesh_agents.llm.events import BrokenError

_PATIENCE = RetryPolicy(
    initial_interval=1.0,
    max_attempts=4,
    # What broke was asked for again already.
    retry_on=lambda error: (
        isinstance(error, ApiError) and not isinstance(error, BrokenError) and error.status in (429, 502, 503)
    ),
)
"""For nodes that ask a model and do nothing else: a proxy that restarts ends no run."""

Graph = CompiledStateGraph[RunState, None, RunState, RunState]


def build(nodes: Nodes, checkpointer: BaseCheckpointSaver[Any] | None = None) -> Graph:
    """Router, Planner and Monitor around the workers Research, Coder and Analyzer.

    Each arrow is a checkpoint, when there is a checkpointer.
    """
    graph = StateGraph(RunState)
    graph.add_node("router", nodes.route)
    graph.add_node("planner", nodes.plan, retry_policy=_PATIENCE)
    graph.add_node("monitor", nodes.monitor)
    for worker in WORKERS:
        graph.add_node(worker, nodes.work, retry_policy=_PATIENCE)
        graph.add_edge(worker, "monitor")
    graph.add_node("tools", nodes.tools)
    graph.add_node("conclude", nodes.conclude, retry_policy=_PATIENCE)
    graph.add_edge(START, "router")
    graph.add_conditional_edges("router", after_route, {"plan": "planner", "monitor": "monitor"})
    graph.add_edge("planner", "monitor")
    graph.add_conditional_edges("monitor", after_monitor, ["tools", "conclude", *WORKERS])
    graph.add_edge("tools", "monitor")
    graph.add_edge("conclude", END)
    return graph.compile(checkpointer=checkpointer)


def config(thread: str, limits_steps: int) -> RunnableConfig:
    """LangGraph's own bound is far above the monitor's, which ends a run in order."""
    return {"configurable": {"thread_id": thread}, "recursion_limit": 6 * limits_steps + 20}
