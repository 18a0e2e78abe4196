"""`vault export`: patients' exact files, for the spare ROIS."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context
from cli.text import printable_lines
from vault.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from vault.config import Config
    from vault.emergency.export import Report
    from vault.emergency.plan import Exported, Request


@click.command()
@click.argument("patients", nargs=-1, metavar="[PATIENT]...")
@click.option("--all", "everybody", is_flag=True, help="Every patient of the vault.")
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="An empty or new folder; or that of an earlier export, which is continued.",
)
@click.option(
    "--at",
    metavar="REVISION",
    help="verified, latest, a commit, or a day (YYYY-MM-DD). Default: verified where somebody has, else latest.",
)
@click.pass_obj
def export(context: Context, patients: tuple[str, ...], everybody: bool, to: Path, at: str | None) -> None:
    """Write patients' exact files to a folder, and prove that they are.

    Each file is compared with the checksum in the signed history as it is written. The folder has one numbered
    folder per kind of object, in the order of import, a DICOMDIR, and a README.txt that says what to do with it.

    \b
    vault export 12345 --to /media/stick
    vault export --all --to /srv/emergency --at latest
    """
    from zoneinfo import ZoneInfo

    from vault.emergency.export import export as run_export

    if bool(patients) == everybody:
        raise UsageError("Name the patients to export, or --all for every patient of the vault.")
    config = context.config()
    requests, unknown = _requests(config, [context.patient_id(text) for text in patients], at)
    allowed = _allowed(config)
    with context.progress() as progress:
        report = run_export(
            requests, to, now=datetime.now(ZoneInfo(config.site.timezone)), allowed=allowed, progress=progress
        )
    report.patients += unknown
    if context.json:
        context.emit(_document(report, signatures=allowed is not None))
    else:
        click.echo(printable_lines("\n".join(_lines(report, signatures=allowed is not None))))
    context.exit(report.exit_code)


def _requests(config: Config, patients: list[str], at: str | None) -> tuple[list[Request], list[Exported]]:
    """What to export, and a failed result for each patient that the vault does not have or can't open."""
    from vault.archive.repository import PatientRepository, all_repositories, no_such_patient
    from vault.emergency.plan import Exported, Request
    from vault.errors import IntegrityError
    from vault.model import Failure

    if not patients:
        damaged: list[Failure] = []
        requests = [Request(repository, at) for repository in all_repositories(config.vault.root, damaged)]
        failed = [Exported(failure.subject, failures=[failure], integrity=False) for failure in damaged]
        if not requests and not failed:
            raise UsageError(
                f"The vault in {config.vault.root} holds no patient yet; `vault sync` retrieves them."
            )
        return requests, failed
    requests, failed = [], []
    for patient in dict.fromkeys(patients):
        try:
            repository = PatientRepository.open(config.vault.root, patient)
        except IntegrityError as error:
            failed.append(Exported(patient, failures=[Failure("", str(error))], integrity=False))
            continue
        if repository is None:
            reason = str(no_such_patient(config.vault.root, patient))
            failed.append(Exported(patient, failures=[Failure("", reason)]))
        else:
            requests.append(Request(repository, at))
    if not requests and not any(not exported.integrity for exported in failed):
        raise UsageError("\n".join(failure.reason for exported in failed for failure in exported.failures))
    return requests, failed


def _allowed(config: Config) -> frozenset[bytes] | None:
    """The keys that may have signed; None when the file is gone, since an emergency must not end there."""
    from vault.archive.signing import allowed_keys

    try:
        return allowed_keys(config.vault.signing_key.parent / "allowed_signers")
    except ConfigError as error:
        click.echo(f"vault: {error} Signatures are not checked now, checksums are.", err=True)
        return None


def _document(report: Report, *, signatures: bool) -> dict[str, Any]:
    return {
        "to": str(report.to),
        "patients": {
            exported.patient_id: {
                "commit": exported.commit,
                "at": exported.at,
                "verified": exported.vouched,
                "newer": exported.newer,
                "folder": exported.folder,
                "files": exported.files,
                "bytes": exported.size,
                "kept": exported.kept,
                "failed": [
                    {"subject": failure.subject, "reason": failure.reason} for failure in exported.failures
                ],
            }
            for exported in report.patients
        },
        "dicomdir": {"objects": report.listed, "left_out": report.left_out},
        "signatures_checked": signatures,
        "not_of_this_export": report.strangers,
    }


def _lines(report: Report, *, signatures: bool) -> list[str]:
    lines = []
    for exported in report.patients:
        if exported.commit:
            state = "verified" if exported.vouched else "not verified: nobody has vouched for this state"
            if exported.vouched and exported.newer:
                newer = "a newer state" if exported.newer == 1 else f"{exported.newer} newer states"
                state = (
                    f"verified. NOT EXPORTED: {newer} that nobody has confirmed; later fractions may be in it. "
                    f"`vault diff {exported.patient_id} verified` shows what it changes, --at latest exports it"
                )
            kept = f", {exported.kept} of them there already" if exported.kept else ""
            lines.append(f"{exported.patient_id}: {exported.files} files, {exported.size / 1e6:.1f} MB{kept}")
            lines.append(f"  {exported.commit[:12]} ({exported.at}), {state}")
        else:
            lines.append(f"{exported.patient_id}: NOT EXPORTED")
        lines += [
            f"  FAILED {failure.subject} {failure.reason}".replace("  ", " ") for failure in exported.failures
        ]
    if report.left_out:
        lines.append(f"Not in the DICOMDIR, import from the patient's folder: {len(report.left_out)} files")
        lines += [f"  {path}: {reason}" for path, reason in list(report.left_out.items())[:10]]
    if report.strangers:
        lines.append(f"NOT OF THIS EXPORT, nobody vouches for it: {len(report.strangers)} files")
        lines += [f"  {path}" for path in report.strangers[:10]]
    if not any(exported.commit for exported in report.patients):
        return lines
    proved = "checksums and signatures" if signatures else "checksums, but not signatures,"
    lines.append(
        f"{proved} checked while writing; check again with: cd {report.to} && sha256sum --quiet -c SHA256SUMS"
    )
    lines.append(f"Read {report.to / 'README.txt'} before importing.")
    return lines
