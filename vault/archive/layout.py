"""Make a bare repository that stock git understands, at once or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from vault.errors import VaultError
from vault.files import private_folder, sync_folder, write_file

_UNFINISHED = ".new-"
_SETTINGS = {
    "core.repositoryformatversion": "0",
    "core.filemode": "true",
    "core.bare": "true",
    # nothing is rewritten behind the vault's back, and stock git writes as durably as the vault does
    "core.fsync": "all",
    "core.fsyncMethod": "fsync",
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "receive.denyNonFastForwards": "true",
    "receive.denyDeletes": "true",
}
_SIGNERS = "gpg.ssh.allowedsignersfile"
_PATIENT = "vault.patient"
_MAY_BE = {"gpg.format", _SIGNERS, _PATIENT}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\b": "\\b"})


def create(path: Path, settings: Mapping[str, str]) -> None:
    """Make the repository `path` (0700), with `settings` ("section.name": value) in its configuration.

    It is made under another name and renamed, so a crash leaves nothing that stands in the way. Raises VaultError
    when there is one already or when the disk refuses.
    """
    if path.exists():
        raise VaultError("A repository of this name exists already; nothing was changed.")
    unfinished = path.parent / f"{_UNFINISHED}{path.name}"
    try:
        private_folder(path.parent)
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/vault"):
            private_folder(unfinished / folder)
        write_file(unfinished / "config", configuration(settings))
        write_file(unfinished / "HEAD", b"ref: refs/heads/main\n")
        unfinished.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise VaultError(
            f"A new repository could not be written ({error.strerror}); check that the vault's disk is mounted, "
            "has free space and is writable, then run again."
        ) from error


def configuration(settings: Mapping[str, str]) -> bytes:
    """Return the configuration file of a repository with these settings beside those that all have."""
    return config_text({**_SETTINGS, **settings}).encode()


def foreign_settings(path: Path, *, of_patient: bool) -> list[str] | None:
    """Return the settings in a repository's configuration that the vault did not make; None where it is damaged.

    A file of signers that is not there counts, too: `git verify-commit` would know nobody.
    """
    import pygit2  # noqa: PLC0415  # making a repository does not need it

    try:
        found = {entry.name: entry.value for entry in pygit2.Config(str(path / "config"))}
    except (OSError, UnicodeDecodeError, pygit2.GitError):
        return None
    ours = {name.lower(): value for name, value in _SETTINGS.items()}
    if (
        any(found.get(name) != value for name, value in ours.items())
        or found.get("gpg.format", "ssh") != "ssh"
    ):
        return None
    may_be = _MAY_BE if of_patient else _MAY_BE - {_PATIENT}
    foreign = sorted(found.keys() - ours.keys() - may_be)
    signers = found.get(_SIGNERS)
    return foreign if signers is None or Path(signers).is_file() else [*foreign, _SIGNERS]


def config_text(settings: Mapping[str, str]) -> str:
    """Return a git configuration file; values are quoted, so that a `#` or a quote in them is only itself."""
    lines = []
    section = ""
    for name, value in settings.items():
        head, _, key = name.rpartition(".")
        if head != section:
            section = head
            first, _, second = section.partition(".")
            lines.append(f'[{first} "{second}"]' if second else f"[{first}]")
        lines.append(f'\t{key} = "{value.translate(_ESCAPES)}"')
    return "\n".join(lines) + "\n"
