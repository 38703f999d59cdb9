"""Stand-in for n8n's task runner launcher, which no registry has; runs in a container with nothing but Python."""
