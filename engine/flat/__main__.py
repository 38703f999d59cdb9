"""The yardstick of `make bench`: as many bare resources as a stack has, and nothing else."""

import os

import pulumi
import pulumi_docker as docker

provider = docker.Provider("flat", host="unix:///var/run/docker.sock")
for index in range(int(os.environ["FLAT_RESOURCES"]) - 1):
    docker.Volume(f"flat-{index}", opts=pulumi.ResourceOptions(provider=provider))
