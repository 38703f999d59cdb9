"""Pulumi component resources: `services` has one file for each service, `platform` what they share."""
