"""Workflow automation: the editor and webhooks, the worker that runs queued workflows, and the runner of their code."""

from collections.abc import Mapping
from typing import Final

import pulumi

from components.platform.context import NodeContext, ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.entrypoint import together

TASK_SECONDS: Final = "300"
"""Time limit for code. The launcher passes its own default, 60, on to the runner; n8n's is 300 and will become 60."""
TIMEZONE: Final = "UTC"
"""For schedules of workflows that set none; n8n's default is New York."""


def _files(context: NodeContext) -> dict[str, pulumi.Input[str]]:
    return {
        "encryption-key": context.secret("n8n-encryption-key"),
        "redis-password": context.secret("redis-n8n-password"),
        "postgres-password": context.secret("postgres-n8n-password"),
    }


def _env(context: NodeContext) -> Mapping[str, str]:
    """The environment that main process and worker share."""
    return {
        "N8N_ENCRYPTION_KEY_FILE": "/config/encryption-key",
        "N8N_WEBHOOK_URL": context.settings.n8n_webhook_url,
        # Where the browser has a session: n8n 2 requires one when an OAuth provider redirects back.
        "N8N_EDITOR_BASE_URL": context.settings.n8n_editor_url,
        "N8N_METRICS": "true",
        "GENERIC_TIMEZONE": TIMEZONE,
        # There is no egress to n8n's own servers; each of these would try to call them and log errors.
        "N8N_DIAGNOSTICS_ENABLED": "false",
        "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
        "N8N_DYNAMIC_BANNERS_ENABLED": "false",
        "N8N_TEMPLATES_ENABLED": "false",
        "N8N_DISABLED_MODULES": "mcp-registry",
        "N8N_COMMUNITY_PACKAGES_ENABLED": "false",
        "N8N_UNVERIFIED_PACKAGES_ENABLED": "false",
        "N8N_BLOCK_ENV_ACCESS_IN_NODE": "true",
        # Limits for unpacked archives: a later n8n's defaults; today's 2 GiB exceed the container's memory.
        "N8N_COMPRESSION_NODE_MAX_DECOMPRESSED_SIZE_BYTES": str(256 << 20),
        "N8N_COMPRESSION_NODE_MAX_ZIP_ENTRIES": "1000",
        "DB_TYPE": "postgresdb",
        "DB_POSTGRESDB_HOST": "postgres",
        "DB_POSTGRESDB_PORT": "5432",
        "DB_POSTGRESDB_DATABASE": "n8n",
        "DB_POSTGRESDB_USER": "n8n",
        "DB_POSTGRESDB_PASSWORD_FILE": "/config/postgres-password",
        "EXECUTIONS_MODE": "queue",
        # The worker has the runner, so that no workflow's code runs where the editor does.
        "OFFLOAD_MANUAL_EXECUTIONS_TO_WORKERS": "true",
        # Longer than it takes to replace a proxy: n8n exits when Redis is unreachable for this long.
        "QUEUE_BULL_REDIS_TIMEOUT_THRESHOLD": "120000",
        "QUEUE_BULL_REDIS_HOST": "redis",
        "QUEUE_BULL_REDIS_PORT": "6379",
        "QUEUE_BULL_REDIS_USERNAME": "n8n",
        "QUEUE_BULL_REDIS_PASSWORD_FILE": "/config/redis-password",
        "N8N_RUNNERS_MODE": "external",
        "N8N_RUNNERS_TASK_TIMEOUT": TASK_SECONDS,
    }


class N8n(pulumi.ComponentResource):
    """Creates n8n's pod: editor, API and webhooks."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:automation:N8n", name, None, opts)
        web = {
            "N8N_LISTEN_ADDRESS": "0.0.0.0",
            "N8N_PORT": "5678",
            # edge, Kong and two proxies on the way
            "N8N_PROXY_HOPS": "4",
        }
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                files=_files(args.context),
                env={**_env(args.context), **web},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


class N8nWorker(pulumi.ComponentResource):
    """Creates the pod of n8n's worker, which takes workflows from the queue and hands their code to the runner."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:automation:N8nWorker", name, None, opts)
        listeners = {
            "N8N_RUNNERS_AUTH_TOKEN_FILE": "/config/runners-token",
            "N8N_RUNNERS_BROKER_LISTEN_ADDRESS": "0.0.0.0",
            "N8N_RUNNERS_BROKER_PORT": "5679",
            "QUEUE_HEALTH_CHECK_ACTIVE": "true",
            "QUEUE_HEALTH_CHECK_PORT": "5678",
            # The default, `::`, fails on a host without IPv6.
            "N8N_WORKER_SERVER_ADDRESS": "0.0.0.0",
        }
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                command=["worker"],
                files=_files(args.context) | {"runners-token": args.context.secret("n8n-runners-token")},
                env={**_env(args.context), **listeners},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


class N8nRunners(pulumi.ComponentResource):
    """Creates the pod of the runner, which executes the code of workflows and reaches the worker's broker alone."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:automation:N8nRunners", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                # A launcher that has given up on one language serves on the other, and its health check stays green.
                entrypoints=together(
                    "task-runner-launcher javascript",
                    "N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT=5683 task-runner-launcher python",
                ),
                files={"token": args.context.secret("n8n-runners-token")},
                env={
                    "N8N_RUNNERS_AUTH_TOKEN_FILE": "/config/token",
                    "N8N_RUNNERS_TASK_BROKER_URI": "http://n8n-worker:5679",
                    "N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT": "5680",
                    "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT": "15",
                    "N8N_RUNNERS_TASK_TIMEOUT": TASK_SECONDS,
                    "GENERIC_TIMEZONE": TIMEZONE,
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
