"""Long jobs: queue, state and workers."""
