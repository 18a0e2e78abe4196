"""The one way to git: libgit2 and the `git` program, both deaf to the user's environment and configuration.

What a repository says must not depend on who runs the vault, on `GIT_*` variables or on a `~/.gitconfig`.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from vault.errors import DAMAGED, IntegrityError, VaultError

_OPEN_FILES = min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
"""Pack files that libgit2 keeps open; without a bound, a thousand packs are a thousand descriptors."""

_FLAT = [
    part
    for setting in ("bigFileThreshold=1m", "packedGitWindowSize=16m", "packedGitLimit=64m")
    for part in ("-c", f"core.{setting}")
]
"""Makes git stream large blobs and map small pieces of packs, so that its memory stays flat, too."""

for _level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
    pygit2.settings.search_path[_level] = ""
pygit2.settings.mwindow_file_limit = _OPEN_FILES
pygit2.settings.enable_fsync_gitdir(True)
pygit2.settings.enable_strict_hash_verification(True)
pygit2.settings.disable_pack_keep_file_checks(True)  # a look at the disk for each pack, and there are none


def open_repository(path: Path) -> pygit2.Repository:
    """Open a bare repository.

    Raises VaultError when it belongs to another user (git refuses it then), IntegrityError when it is none.
    """
    try:
        return pygit2.Repository(str(path), pygit2.enums.RepositoryOpenFlag.BARE)
    except pygit2.GitError as error:
        if "not owned" in str(error):
            raise VaultError(
                "The archive's repositories belong to another user; run vault as the user who owns the vault's "
                "root folder, or give the folder to this one with `chown -R`."
            ) from error
        raise IntegrityError(f"A repository of the archive can't be opened. {DAMAGED}") from error


def environment() -> dict[str, str]:
    """Return the environment for the `git` program: nothing of the user's but where programs are."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


def run_git(repository: Path, arguments: Sequence[str]) -> None:
    """Run `git` on a bare repository. Raises IntegrityError when it is not content, VaultError when it is not there."""
    process = start_git(repository, arguments)
    process.communicate()
    if process.returncode:
        raise IntegrityError(f"`git {arguments[0]}` finds a repository damaged. {DAMAGED}")


def start_git(repository: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start `git` on a bare repository with pipes for stdin and stdout; raises VaultError when git is not installed."""
    try:
        return subprocess.Popen(
            ["git", f"--git-dir={repository}", *_FLAT, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            cwd="/",
        )
    except FileNotFoundError as error:
        raise VaultError("The program `git` is not installed; install it with `apt install git`.") from error
