"""The images of the lab's nodes: what they are (`catalog`), how they are made (`layers`, `archive`, `build`)."""
