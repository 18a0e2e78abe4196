"""What an audit finds: each with what to do, and the account of all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from vault.errors import ExitCode


class Level(StrEnum):
    """How bad a finding is."""

    INTEGRITY = "integrity"
    """Something is not what it must be: damaged, missing, or changed by somebody else."""
    WARNING = "warning"
    """Something should be looked at; nothing is lost by it."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong."""

    level: Level
    subject: str
    """A file or folder below the vault's folder, `ledger`, or `share`."""
    text: str
    remedy: str = ""


@dataclass(slots=True)
class AuditReport:
    """The account of one audit."""

    findings: list[Finding] = field(default_factory=list)
    repositories: int = 0
    """Looked at in their structure: refs, commits, signatures, folders."""
    read: int = 0
    """Of these, read completely: every object, every checksum."""
    due: int = 0
    """How many were to be read completely this time."""
    events: int = 0
    """In the ledger."""
    head: str | None = None
    """The ledger's last commit: a witness for the next audit."""
    on_share: int | None = None
    """Files on the share that were looked for; None without a share."""
    superfluous: int = 0
    """Files on the share that nothing here needs: earlier versions of vault.toml, what another vault put there, or what
    a repository had that was lost here. Nothing removes them by itself."""
    opened: int = 0
    """Of these, decrypted and compared."""

    @property
    def integrity(self) -> bool:
        """Whether anything is not what it must be."""
        return bool(self.wrong)

    @property
    def wrong(self) -> int:
        """How many things are not what they must be."""
        return sum(finding.level is Level.INTEGRITY for finding in self.findings)

    @property
    def exit_code(self) -> ExitCode:
        """INTEGRITY; PARTIAL for warnings, or where not everything that was due was read; else DONE."""
        if self.integrity:
            return ExitCode.INTEGRITY
        return ExitCode.PARTIAL if self.findings or self.read < self.due else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {**asdict(self), "findings": [asdict(finding) for finding in sorted(self.findings)]}
