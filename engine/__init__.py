"""The real Pulumi engine on any machine: find or build it, plan both stacks without an account, and report."""
