"""`make diagnose`: what is wrong with a node's pods, told from plain Docker, without the engine and its state."""
