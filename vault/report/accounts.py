"""What a run says beside its commits, in sentences, kept with its report as long as that is.

    <root>/reports/<run>/account.json

The ledger is kept for ever and may hold no name and no UID, so it has only how much failed or lacked. Whoever loses
an account loses the sentences, not the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from vault.files import private_folder, write_file
from vault.model import Failure

FOLDER = "reports"
"""Where the runs' reports lie, below the vault's root."""

NAME = "account.json"

_LARGEST = 64 << 20  # bytes of an account that is read


@dataclass(frozen=True, slots=True)
class PatientAccount:
    """What a run says of one patient."""

    failed: tuple[Failure, ...] = ()
    gaps: tuple[Failure, ...] = ()
    anomalies: tuple[str | dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What a run says."""

    patients: Mapping[str, PatientAccount] = field(default_factory=dict)
    """By pseudonym."""
    failed: tuple[Failure, ...] = ()


def folder_of(root: Path, run: str) -> Path:
    """Where the report of a run lies."""
    return root / FOLDER / run


def keep_account(root: Path, run: str, account: Account) -> None:
    """Keep the account of a run, durably; of a patient the last one counts, where a run was finished in parts."""
    folder = private_folder(folder_of(root, run))
    before = account_of(root, run)
    failed = dict.fromkeys((*before.failed, *account.failed))
    whole = Account({**before.patients, **account.patients}, tuple(failed))
    write_file(folder / NAME, _encoded(whole), replace=True)


def _encoded(account: Account) -> bytes:
    try:
        return msgspec.json.encode(account)
    except UnicodeEncodeError:  # half a character of the ROIS, in an ID or a UID, must not end the night
        return msgspec.json.encode(_spelt(msgspec.to_builtins(account)))


def _spelt(value: Any) -> Any:
    """The same with what is no Unicode spelt out: `\\udcff`."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_spelt(key): _spelt(each) for key, each in value.items()}
    return [_spelt(each) for each in value] if isinstance(value, list | tuple) else value


def account_of(root: Path, run: str) -> Account:
    """What is kept of a run; nothing where there is none, or what is there is no account."""
    try:
        with (folder_of(root, run) / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=Account)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Account()
