"""Documents: ingest, search and cited answers."""
