"""Histories to rewrite, and the search for what should be gone."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from archive_kit import NIGHT, Keys

from vault.archive.blobs import Bytes
from vault.archive.repository import PatientRepository
from vault.archive.rewrite import Rewritten, rewriting
from vault.archive.signing import allowed_keys

HOUR = timedelta(hours=1)
SHARED_RECORD = b"the record that night and hour both have, " * 40


def marker(day: date) -> bytes:
    """What stands in every file of a day's hourly history."""
    return f"marker of {day.isoformat()}".encode()


def day_of(number: int) -> date:
    return (NIGHT + timedelta(days=number)).date()


def treat(repository: PatientRepository, keys: Keys, days: int, hours: int = 3, size: int = 2000) -> None:
    """Commit `days` days of `hours` hourly runs, and a night after each."""
    for number in range(days):
        day = day_of(number)
        for hour in range(hours):
            said = marker(day) + b" %d\n" % hour
            commit(
                repository,
                keys,
                "hourly",
                NIGHT + timedelta(days=number, hours=6 + hour),
                {
                    f"history/{day}/rows.json": said + b"x" * size,
                    f"history/{day}/records/{hour}.dcm": said + b"y" * size,
                    f"history/{day}/records/shared.dcm": SHARED_RECORD,
                },
            )
        night = NIGHT + timedelta(days=number + 1)
        files = {"patient.json": b"%d" % number, f"dicom/RTRECORD/1/{number}.dcm": b"night %d" % number}
        commit(repository, keys, "main", night, {**files, "dicom/RTRECORD/1/shared.dcm": SHARED_RECORD})


def commit(
    repository: PatientRepository, keys: Keys, branch: str, when: datetime, files: dict[str, bytes]
) -> str:
    return repository.commit(
        parent=repository.tip(branch),
        edits={path: Bytes(data) for path, data in files.items()},
        message=f"{branch} of {when}\n\nRun: {when:%Y%m%dT%H%M%SZ}-0000\n",
        when=when,
        signer=keys.signer,
        branch=branch,
        author="Test department",
    )


def prune(repository: PatientRepository, keys: Keys, before: datetime, days: set[date]) -> Rewritten | None:
    """Rewrite `hourly` as the night does."""
    gone = {f"history/{day}/" for day in days}
    with rewriting(
        repository,
        branch="hourly",
        before=before,
        goes=lambda path: any(path.startswith(folder) for folder in gone),
        signer=keys.signer,
        allowed=allowed_keys(keys.allowed),
    ) as result:
        pass
    return result


def found_in(folder: Path, wanted: bytes) -> list[str]:
    """The files below `folder` that hold `wanted`, as they are or in anything deflated that they hold."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and any(wanted in data for data in _contents(path))
    ]


def _contents(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    at = data.find(b"\x78")
    while at >= 0:  # every zlib stream begins so, wherever it lies
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(data[at:])
        at = data.find(b"\x78", at + 1)
