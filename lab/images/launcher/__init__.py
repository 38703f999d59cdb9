"""Stands in for n8n's launcher of task runners, which is on no registry; runs in a container, with Python alone."""
