"""Pulumi component resources: one file a service or concern, all of them built on `Pod`."""
