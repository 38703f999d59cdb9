"""Document vision and OCR."""

import pulumi

from components.platform.context import ServiceArgs
from components.platform.pod import Pod, PodArgs
from render.entrypoint import with_secrets
from render.gpu import share_environment, share_files


class Ocr(pulumi.ComponentResource):
    """Creates the pod of docling-serve."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the pod."""
        super().__init__("agentic-mesh:inference:Ocr", name, None, opts)
        self.pod = Pod(
            f"{name}-pod",
            PodArgs(
                context=args.context,
                service=args.service,
                entrypoints=with_secrets({"DOCLING_SERVE_API_KEY": "/config/api-key"}, "docling-serve"),
                command=["run"],
                files={"api-key": args.context.secret("ocr-api-key"), **share_files()},
                env={
                    # It makes a folder there even where all its models are in the image, and its default is below home.
                    "EASYOCR_MODULE_PATH": "/tmp/easyocr",
                    # Its models are in the image and it has no way out: without this each look at the hub waits.
                    "HF_HUB_OFFLINE": "1",
                    # Each worker loads models of its own, and two would not fit into the service's share of the card.
                    "DOCLING_SERVE_ENG_LOC_NUM_WORKERS": "1",
                    "UVICORN_HOST": "0.0.0.0",
                    "UVICORN_PORT": "8005",
                    "DOCLING_SERVE_SCRATCH_PATH": "/scratch",
                    "DOCLING_SERVE_CORS_ORIGINS": "[]",
                    "DOCLING_SERVE_ENABLE_UI": "false",
                    **share_environment(args.context.settings, args.service.name),
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
