"""A stranger restores a share by what docs/format.md says, word for word, in a folder without our program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from share_kit import SharedVault, refs

REPOSITORY = Path(__file__).parents[2]
TOOLS = ("git", "age", "ssh-keygen", "sha256sum", "sed", "find", "xargs")


def blocks() -> dict[str, str]:
    """Shell blocks that follow `<!-- run: NAME -->`."""
    text = (REPOSITORY / "docs/format.md").read_text("utf-8")
    return dict(re.findall(r"<!-- run: (\w+) -->\n```sh\n(.*?)```", text, re.DOTALL))


def run(folder: Path, script: str, bare: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-eu", "-c", script],
        cwd=folder,
        env={"PATH": str(bare), "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH of the tools that the document names, and of what every shell has."""
    names = (*TOOLS, "sh", "ls", "sort", "tail", "mkdir", "basename", "echo", "cat")
    if missing := [tool for tool in names if not shutil.which(tool)]:
        pytest.skip(f"not installed: {' '.join(missing)}")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(os.path.realpath(found))
    return folder


@pytest.mark.system
def test_a_stranger_restores_by_the_document_alone(tmp_path: Path, bare: Path) -> None:
    vault = SharedVault(tmp_path / "vault").usual()
    lost = refs(vault.folder)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    shutil.copytree(vault.share / "v1", stranger / "v1")
    shutil.copy(vault.identity, stranger / "identity.txt")
    shutil.rmtree(vault.folder)
    found = blocks()
    assert list(found) == ["objects", "manifest", "repositories", "files"]
    for name, script in found.items():
        done = run(stranger, script, bare)
        assert done.returncode == 0, f"{name}:\n{script}\n{done.stdout}\n{done.stderr}"
    assert refs(stranger / "restored") == lost
    marked = subprocess.run(
        ["git", "-C", stranger / "restored/repos/4711.git", "config", "vault.patient"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert marked.stdout == "4711\n"
    assert (stranger / "files/4711/dicom/CT/1.2/1.2.0.dcm").stat().st_size > 70_000


@pytest.mark.system
def test_the_document_s_commands_notice_damage(tmp_path: Path, bare: Path) -> None:
    vault = SharedVault(tmp_path / "vault")
    vault.night("4711", 1)
    vault.event()
    vault.deliver()
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    shutil.copytree(vault.share / "v1", stranger / "v1")
    shutil.copy(vault.identity, stranger / "identity.txt")
    largest = max((stranger / "v1/blobs").iterdir(), key=lambda path: path.stat().st_size)
    largest.unlink()
    assert [run(stranger, script, bare).returncode for script in blocks().values()][:2] == [0, 0]
    assert run(stranger, blocks()["repositories"], bare).returncode != 0
