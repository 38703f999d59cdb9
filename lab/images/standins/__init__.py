"""Stand-ins for software that cannot be had: the same interface, as far as the platform uses it.

Each is one file that runs alone in a container, on Debian's Python, with nothing but the standard library and YAML.
"""
