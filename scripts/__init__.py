"""Commands for people: preparing a node, operator certificates."""
