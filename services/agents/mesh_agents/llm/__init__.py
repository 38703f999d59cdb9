"""The model proxy, as a client."""
