"""The image's recipe."""

import re
from pathlib import Path

from topology.images import IMAGES

SERVICE = Path(__file__).resolve().parents[3] / "services" / "backup"
DOCKERFILE = (SERVICE / "Dockerfile").read_text()


def test_the_dump_program_is_no_older_than_the_server() -> None:
    """An older `pg_dump` refuses a newer server, which a test against Debian's own server cannot show."""
    client = re.search(r"postgresql-client-(\d+)", DOCKERFILE)
    assert client is not None
    assert int(client[1]) >= int(IMAGES["postgres"].tag.partition(".")[0])


def test_every_requirement_is_pinned_and_hashed_and_names_no_index() -> None:
    text = (SERVICE / "requirements.txt").read_text()
    packages = [line for line in text.splitlines() if not line.startswith(" ")]
    assert all(re.match(r"[a-z0-9-]+==[0-9.]+ .*\\$", line) for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text


def test_the_base_is_pinned_by_digest() -> None:
    assert re.search(
        r"^ARG BASE=docker\.io/library/python:3\.12\.\d+-slim-trixie@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE
    )
