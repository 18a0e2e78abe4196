"""Errors as part of the interface: one sentence that says what happened, why, and what to do.

Only `cli.main` turns them into exit codes on the terminal. Inside a run, a failure that concerns
one patient or one object is a value (`vault.model.Failure`), not an exception: the others go on.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller (DESIGN 9). Codes are never reused."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    INTEGRITY = 4
    LOCKED = 5


class VaultError(Exception):
    """Something failed that the person at the keyboard can act on.

    `str(error)` is the whole message: what failed, why, and what to do about it.
    """

    exit_code = ExitCode.FAILED


class UsageError(VaultError):
    """The command or the configuration asks for something that can't be."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A key of vault.toml is missing, unknown or out of range; the message names key, line and what is allowed."""


class PeerError(VaultError):
    """A DICOM peer refused, aborted, went silent or could not be reached."""


class DatabaseError(VaultError):
    """The ROIS's database can't be reached, refuses a statement, or answers something else than was agreed."""


class ShareError(VaultError):
    """The network share is away, full, read-only, or does not hold what was written to it."""


class MailError(VaultError):
    """Mail can't be sent or read: the server is away, refuses the account or the message, or speaks no TLS."""


class IntegrityError(VaultError):
    """Data is not what a checksum, a signature or the ledger says it must be."""

    exit_code = ExitCode.INTEGRITY


class LockedError(VaultError):
    """Another run holds the vault's lock."""

    exit_code = ExitCode.LOCKED


DAMAGED = "`git fsck` says what is wrong with it; docs/operations.md says how to bring a repository back."
"""The remedy where a repository of the archive can't be read."""
