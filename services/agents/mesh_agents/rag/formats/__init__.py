"""Readers of document formats. They run in the confined process alone."""
