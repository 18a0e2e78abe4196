"""A patient's repository: one signed commit per night that changed something, verifiable with stock tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pygit2

from vault.archive import layout, sums
from vault.archive.bare import BareRepository, Edits
from vault.archive.objects import sha256
from vault.archive.signing import Signer
from vault.errors import DAMAGED, IntegrityError, UsageError, VaultError
from vault.files import write_file
from vault.model import Failure
from vault.names import safe_name

FOLDER = "repos"
"""Where the patients' repositories lie, below the vault's root."""

_PATIENT = "vault.patient"


class PatientRepository(BareRepository):
    """The history of one patient. See `BareRepository` for reading."""

    def __init__(self, path: Path, patient_id: str) -> None:
        super().__init__(path)
        self.patient_id = patient_id
        """As the ROIS spells it."""

    @classmethod
    def open(cls, root: Path, patient_id: str) -> PatientRepository | None:
        """Return the patient's repository, or None when there is none.

        Raises IntegrityError when the repository of that name says it is another patient's.
        """
        path = _path(root, patient_id)
        if not path.is_dir():
            return None
        repository = cls._at(path)
        if repository.patient_id != patient_id:
            raise IntegrityError(f"A patient's repository is marked as another patient's. {DAMAGED}")
        return repository

    @classmethod
    def _at(cls, path: Path) -> PatientRepository:
        """Return the repository at `path`, which says itself whose it is."""
        repository = cls(path, "")
        _ = repository._repository  # another user's is refused here
        try:
            repository.patient_id = str(pygit2.Config(str(path / "config"))[_PATIENT])
        except (KeyError, OSError, pygit2.GitError) as error:
            raise IntegrityError(f"A repository does not say which patient it is of. {DAMAGED}") from error
        return repository

    @classmethod
    def create(cls, root: Path, patient_id: str, allowed_signers: Path | None = None) -> PatientRepository:
        """Make the patient's repository (0700), at once or not at all.

        With `allowed_signers`, `git verify-commit` works in it without further set-up. Raises VaultError when it
        exists, or when the disk refuses.
        """
        if not patient_id or "\0" in patient_id:
            raise VaultError("A patient ID is empty or holds a zero byte; nothing can be filed under it.")
        path = _path(root, patient_id)
        layout.create(path, _settings(patient_id, allowed_signers))
        return cls(path, patient_id)

    @staticmethod
    def configure(path: Path, patient_id: str, allowed_signers: Path) -> None:
        """Write a repository's configuration anew, as one that was made elsewhere needs. Raises OSError."""
        write_file(
            path / "config", layout.configuration(_settings(patient_id, allowed_signers)), replace=True
        )

    def commit(
        self,
        *,
        parent: str | None,
        edits: Edits,
        message: str,
        when: datetime,
        signer: Signer,
        branch: str = "main",
        author: str = "vault",
        even_unchanged: bool = False,
    ) -> str:
        """Commit `edits` (path to content, or None to delete) and the `SHA256SUMS` files they call for.

        `parent` must be the branch's tip. Returns the commit's id, or `parent` when nothing changes (unless
        `even_unchanged` wants a commit for its message alone); the branch moves last, once everything is on disk.
        `when` carries the time zone, `author` is the site's name. Errors: see `BareRepository.commit_edits`;
        ValueError when an edit is of a `SHA256SUMS` file.
        """
        if any(path.rpartition("/")[2] == sums.NAME for path in edits):
            raise ValueError("SHA256SUMS files are made here")
        return self.commit_edits(
            parent=parent,
            edits=edits,
            message=message,
            when=when,
            signer=signer,
            branch=branch,
            author=author,
            expand=self._with_sums,
            even_unchanged=even_unchanged,
        )

    def _with_sums(self, current: Mapping[str, str], edits: Edits) -> Edits:
        return {**edits, **sums.updates(current, edits, self.read, self._sha256)}

    def _sha256(self, oid: str) -> str:
        with self.stream(oid) as source:
            return sha256(source)


def _settings(patient_id: str, allowed_signers: Path | None) -> dict[str, str]:
    settings = {"gpg.format": "ssh"}
    if allowed_signers:
        settings["gpg.ssh.allowedSignersFile"] = str(allowed_signers.absolute())
    return {**settings, _PATIENT: patient_id}


def all_repositories(root: Path, damaged: list[Failure] | None = None) -> Iterator[PatientRepository]:
    """Yield every patient's repository, by name; what a crash left unfinished is not among them.

    One that can't be opened is noted in `damaged`, and the others follow. Without such a list it raises
    IntegrityError.
    """
    for path in sorted((root / FOLDER).glob("[!.]*.git")):
        try:
            yield PatientRepository._at(path)
        except IntegrityError as error:
            if damaged is None:
                raise
            damaged.append(Failure(path.name, str(error)))


def no_such_patient(root: Path, patient_id: str) -> UsageError:
    """What to say where the vault has no repository of a patient; names whom it has under another spelling.

    Only case, punctuation and zeros may differ: with one digit changed it would be some other patient.
    """
    wanted = _spelling(patient_id)
    ids = (repository.patient_id for repository in all_repositories(root, []))
    like = " or ".join(repr(each) for each in ids if _spelling(each) == wanted)
    hint = f": is it {like}?" if like else "."
    return UsageError(
        f"There is no patient {patient_id!r} in this vault{hint} `vault status` lists those it has."
    )


def _spelling(patient_id: str) -> str:
    return re.sub(r"\W", "", re.sub(r"0+(?=\d)", "", patient_id.casefold()))


def _path(root: Path, patient_id: str) -> Path:
    return root / FOLDER / f"{safe_name(patient_id)}.git"
