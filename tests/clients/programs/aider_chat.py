"""aider, as a person calls it in a folder with sources."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mesh

METADATA = {
    f"openai/{name}": {
        "max_input_tokens": 16384,
        "max_output_tokens": 4096,
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
        "litellm_provider": "openai",
        "mode": "chat",
        "supports_vision": name == mesh.ANY,
    }
    for name in (mesh.ANY, mesh.LOCAL, mesh.UNKNOWN)
}
"""Without it aider takes the models for ones that see no pictures, and warns."""
OPTIONS = (
    *("--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-show-release-notes"),
    *("--no-pretty", "--no-fancy-input", "--no-suggest-shell-commands", "--map-tokens", "0", "--no-detect-urls"),
    *("--edit-format", "whole", "--model-metadata-file", "models.json"),
)
CODE = "print('hello from the mesh')\n"


def aider(message, *options, model=mesh.LOCAL, key=mesh.KEY, files=None):
    """What it wrote on the screen, and what the files hold then."""
    given = dict(files or {})
    with tempfile.TemporaryDirectory(prefix="client-aider-") as name:
        folder = Path(name)
        (folder / "models.json").write_text(json.dumps(METADATA))
        for file, content in given.items():
            (folder / file).write_bytes(content)
        arguments = [*OPTIONS, *options, "--model", f"openai/{model}", "--message", message, *given]
        done = subprocess.run(
            [sys.executable, "-m", "aider", *arguments],
            cwd=folder,
            env={**os.environ, "OPENAI_API_BASE": mesh.BASE_URL, "OPENAI_API_KEY": key, "HOME": name},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        return done.stdout + done.stderr, {file: (folder / file).read_bytes() for file in given}


def chat():
    text, _ = aider(mesh.ASK, "--no-stream", "--chat-mode", "ask", model=mesh.ANY)
    mesh.expect(mesh.GREETING in text, text)
    return mesh.GREETING


def stream():
    """Its edit, streamed, ends up in the file."""
    answer = f"[[\nhello.py\n```\n{CODE}```\n]]"
    text, files = aider(f"Write hello.py. {answer}", "--stream", files={"hello.py": b"pass\n"})
    mesh.expect(files["hello.py"].decode() == CODE, text)
    return "hello.py was written"


def picture():
    files = {"square.png": base64.b64decode(mesh.PICTURE)}
    text, _ = aider(mesh.ASK_ABOUT_PICTURE, "--no-stream", "--chat-mode", "ask", model=mesh.ANY, files=files)
    mesh.expect("\nA red square." in text, text)
    return mesh.SEEN


def wrong_key():
    text, _ = aider("hello", "--no-stream", key=mesh.WRONG_KEY)
    mesh.expect("AuthenticationError" in text, text)
    return next(line for line in text.splitlines() if "AuthenticationError" in line)


def unknown_model():
    text, _ = aider("hello", "--no-stream", model=mesh.UNKNOWN)
    mesh.expect("NotFoundError" in text and mesh.UNKNOWN in text, text)
    return next(line for line in text.splitlines() if "NotFoundError" in line)


mesh.run(
    {
        "chat": chat,
        "stream": stream,
        "picture": picture,
        "wrong_key": wrong_key,
        "unknown_model": unknown_model,
    }
)
