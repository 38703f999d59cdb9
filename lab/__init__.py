"""The lab: two real Docker nodes, the real Pulumi engine and local clouds on one machine.

The program does not know it. Only configuration and providers differ: the ones here speak Pulumi's provider protocol
and act on the lab's own daemons and servers.
"""
