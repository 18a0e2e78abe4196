"""The README's commands run as they stand there, in order, in a new folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vault.archive.blobs import object_id

REPOSITORY = Path(__file__).parents[2]
TOOLS = ("git", "age", "ssh-keygen", "sha256sum")


def blocks() -> dict[str, str]:
    """Shell blocks that follow `<!-- run: NAME -->`."""
    text = (REPOSITORY / "README.md").read_text("utf-8")
    return dict(re.findall(r"<!-- run: (\w+) -->\n```sh\n(.*?)```", text, re.DOTALL))


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"not installed: {' '.join(missing)}")
    found = blocks()
    assert list(found) == ["demo", "init", "stock"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    said = {}
    for name, script in {"make demo": "vault demo", **found}.items():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, f"{name}:\n{script}\n{done.stdout}\n{done.stderr}"
        said[name] = done.stdout
    assert (tmp_path / "site/vault.toml").exists()
    assert (tmp_path / "demo/export/manifest.json").exists()
    ids = re.findall(r"^([0-9a-f]{40})$", said["stock"], re.MULTILINE)
    assert len(ids) == 1
    trees = (
        subprocess.run(
            ["git", "-C", repository, "log", "--all", "--raw", "--no-abbrev", "--format="],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for repository in (tmp_path / "demo").rglob("*.git")
    )
    sites = [tmp_path / "demo" / name for name in ("vault.toml", "queries/demo.toml", "keys/allowed_signers")]
    own = {object_id("blob", path.read_bytes()) for path in sites}  # the share has these as well
    assert ids[0] in own or any(ids[0] in tree for tree in trees)
