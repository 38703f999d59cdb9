"""The supervisor graph: Router, Planner, Monitor and the workers."""
