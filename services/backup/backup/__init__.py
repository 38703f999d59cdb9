"""Encrypted backups of one node: databases, vectors and volumes, by restic to the node's own bucket."""
