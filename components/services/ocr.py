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
                    # It creates a folder there even if all models are in the image; the default is in the home folder.
                    "EASYOCR_MODULE_PATH": "/tmp/easyocr",
                    # All models are in the image and it has no egress: each lookup at the hub would time out.
                    "HF_HUB_OFFLINE": "1",
                    # Each worker loads its own models, and two would not fit the service's share of the GPU.
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
