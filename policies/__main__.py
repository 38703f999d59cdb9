"""Assembles the policy pack. Constructing it starts its server, so nothing imports this file."""

import sys
from pathlib import Path

# Pulumi starts a pack in its own folder; the rules and the topology are found from the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pulumi_policy import EnforcementLevel, PolicyPack

from policies.catalog import policies

PolicyPack("agentic-mesh", policies(), EnforcementLevel.MANDATORY)
