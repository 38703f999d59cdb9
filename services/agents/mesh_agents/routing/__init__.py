"""Which route and model a request is answered by."""
