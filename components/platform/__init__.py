"""What every node is made of: pod and proxy, networks, volumes, authority, images, preflight, secrets, clouds."""
