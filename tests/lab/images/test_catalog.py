"""The catalog and how images are composed of it: everything that needs neither Docker nor a large layer."""

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from lab.images.archive import File, Image, SmallLayer, load_stream, small_layer
from lab.images.authority import authority, issue
from lab.images.build import keys_of
from lab.images.catalog import catalog, markdown
from lab.images.compose import HERE, _files, references, with_imports
from lab.images.entry import Entry
from lab.images.recipes import RECIPES
from lab.images.services import dockerfile
from lab.images.switch import CHOICE
from tests.lab import test_versions
from topology.catalog import SERVICES
from topology.images import BUILDS, IMAGES

ENTRIES = {
    **catalog(frozenset()),
    **{f"{key} (the large one)": catalog(CHOICE)[key] for key in CHOICE},
}
LISTED = pytest.mark.parametrize(("key", "entry"), ENTRIES.items(), ids=ENTRIES)


def test_every_image_of_the_program_has_an_entry() -> None:
    assert catalog().keys() == {*IMAGES, *BUILDS}


@pytest.mark.parametrize(("asked", "found"), [("", set()), ("vllm", {"vllm"}), ("all", CHOICE), (" vllm ,", {"vllm"})])
def test_large_programs_are_real_where_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str, found: frozenset[str]
) -> None:
    monkeypatch.setenv("LAB_REAL", asked)
    assert {key for key in CHOICE if catalog()[key].real} == found


def test_a_program_that_is_none_of_them_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_REAL", "vlm,redis")
    with pytest.raises(ValueError, match=r"^LAB_REAL names redis, vlm: it may be `all` or any of "):
        catalog()


@LISTED
def test_an_entry_says_what_it_is_and_why(key: str, entry: Entry) -> None:
    assert len(entry.reason) > 5
    assert entry.real is not bool(entry.stand_in)
    assert "\n" not in entry.reason


@LISTED
def test_an_entry_says_its_version_and_what_it_does_not_cover(key: str, entry: Entry) -> None:
    assert entry.version
    assert entry.not_covered


def test_the_table_of_the_documents_says_both_versions_and_counts_the_stand_ins() -> None:
    text = markdown()
    row = next(line for line in text.splitlines() if line.startswith("| redis |"))
    assert [cell.strip() for cell in row.split("|")][2:6] == ["real", "Redis from Debian", "8.0", IMAGES["redis"].tag]
    counted = re.search(r"(?m)^(\d+) of \d+ services are stand-ins: .*\bqdrant-witness\b", text)
    assert counted
    assert int(counted[1]) <= 10, "a program that a registry has runs for real"
    for service in SERVICES:
        ran = r"(real( with `LAB_REAL`, else a \*\*stand-in\*\*)?|\*\*stand-in\*\*)"
        assert re.search(rf"(?m)^\| (.*, )?{service.name}(, .*)? \| {ran} \|", text), service.name


@LISTED
def test_an_entry_is_made_of_what_there_is(key: str, entry: Entry) -> None:
    assert set(entry.layers) <= RECIPES.keys()
    assert all((HERE / source).is_file() for source in entry.files.values())
    assert all(folder.is_dir() for folder in entry.trees.values())
    assert not entry.stand_in or (HERE / "standins" / f"{entry.stand_in}.py").is_file()


@LISTED
def test_no_file_takes_the_place_of_a_link_of_debian(key: str, entry: Entry, tmp_path: Path) -> None:
    files = _files(entry, authority(tmp_path))
    assert not [path for path in files if path.startswith(("/bin/", "/sbin/", "/lib/", "/var/run/"))]


def test_a_stand_in_goes_in_with_what_it_imports() -> None:
    assert with_imports("vllm") == {"__init__", "vllm", "vllm_refusals", "common", "openai", "faults"}


def test_no_stand_in_needs_more_than_the_standard_library_and_yaml() -> None:
    texts = [path.read_text() for path in (HERE / "standins").glob("*.py")]
    names = {n for text in texts for n in re.findall(r"(?m)^(?:from|import) (\w+)", text)}
    import sys

    assert names - sys.stdlib_module_names == {"lab", "yaml"}


def test_a_node_gets_what_its_services_need_and_no_more() -> None:
    gpu, control = set(keys_of("gpu")), set(keys_of("control"))
    assert gpu | control == {*(service.image for service in SERVICES), "busybox", "envoy"}
    assert "n8n" not in gpu
    assert "vllm" not in control


def test_references_are_what_the_program_asks_for() -> None:
    found = references({"redis": "lab/redis:1", "agents": "lab/agents:2"})
    assert found == {IMAGES["redis"].reference: "lab/redis:1", "agentic-mesh/agents:local": "lab/agents:2"}


def test_a_dockerfile_says_how_its_container_starts() -> None:
    entry = dockerfile(
        'FROM a AS b\nENV NO=1\nFROM a\nENV PATH=/x:/y \\\n    # why\n    TEXT="two words"\nWORKDIR /w\n'
        'ENTRYPOINT ["python", "-m", "x"]\nCMD ["serve"]\n'
    )
    assert entry.env == {"PATH": "/x:/y", "TEXT": "two words"}
    assert (entry.working_dir, entry.entrypoint, entry.command) == ("/w", ("python", "-m", "x"), ("serve",))


def test_the_same_files_make_the_same_layer() -> None:
    files = {"/b/x.sh": File(b"x", 0o755), "/a": File(folder=True, owner=(7, 8), mode=0o1777), "/c": File(link="/b")}
    layer = small_layer(files)
    assert layer == small_layer(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(layer.content)) as tar:
        found = {entry.name: entry for entry in tar}
    assert (found["a"].isdir(), found["a"].uid, found["a"].gid, found["a"].mode) == (True, 7, 8, 0o1777)
    assert (found["b/x.sh"].mode, found["c"].linkname) == (0o755, "/b")


def test_an_archive_holds_each_layer_once_and_none_that_is_known() -> None:
    shared, own = SmallLayer(b"shared" * 200), SmallLayer(b"own")
    images = [Image("lab/a:1", (shared, own)), Image("lab/b:1", (shared,), {"Cmd": ["sh"]})]

    def loaded(known: frozenset[str] = frozenset()) -> tarfile.TarFile:
        return tarfile.open(fileobj=io.BytesIO(b"".join(load_stream(images, known=known))))

    with loaded() as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())
    assert len(names) == len(set(names)) == 5
    assert [entry["RepoTags"] for entry in manifest] == [["lab/a:1"], ["lab/b:1"]]
    assert manifest[0]["Layers"][0] == manifest[1]["Layers"][0]
    with loaded(frozenset([shared.diff_id])) as tar:
        assert len(tar.getnames()) == 4


def test_certificates_are_of_one_authority(tmp_path: Path) -> None:
    from cryptography import x509

    found = issue(tmp_path, "apis", ["api.example.com", "other.example.com"])
    signer = x509.load_pem_x509_certificate(authority(tmp_path).certificate.read_bytes())
    leaf = x509.load_pem_x509_certificate(found.certificate.read_bytes())
    leaf.verify_directly_issued_by(signer)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api.example.com", "other.example.com"]
    assert found.key.stat().st_mode & 0o077 == 0


def test_every_real_program_with_a_version_is_asked_for_it_in_the_lab() -> None:
    """Those that run for real by default and are not our own, by tests/lab/test_versions.py."""
    named = {key for key, entry in catalog(frozenset()).items() if entry.real and entry.version} - BUILDS.keys()
    # Containers of busybox hold files and are never started.
    assert named == {*test_versions.PROGRAMS, "waf", "busybox"}
