"""The building blocks of a node: pod and proxy, networks, volumes, authority, images, preflight, secrets, clouds."""
