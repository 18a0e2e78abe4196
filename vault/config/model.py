"""The typed model of vault.toml: what each key is called, may hold, and is when it is left out.

A field's `Annotated` kind reads and checks its value. A section that may be missing has a default here;
`None` means that this part of the vault is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from vault.config.kinds import (
    AE_TITLE,
    ATTRIBUTE,
    BOOLEAN,
    COMMAND,
    CONNECTION,
    DOCUMENTS,
    ENDPOINT,
    HOST,
    MODALITY,
    PATH,
    PATIENT,
    PORT,
    RECIPIENT,
    SHARE_URL,
    TEXT,
    TIMEZONE,
    choice,
    duration,
    each,
    fraction,
    size,
    table,
    whole_number,
)
from vault.config.mail import Mail
from vault.config.section import Section, read_secret
from vault.config.verification import Verification

Refresh = Literal["nightly", "weekly", "once"]
"""How often an object that the vault already has is retrieved anew."""

REFRESH: Mapping[str, Refresh] = {
    "CT": "weekly",
    "MR": "weekly",
    "PT": "weekly",
    "RTIMAGE": "weekly",
    "REG": "weekly",
}
"""Policies where `[retrieve] refresh` says nothing; every other modality is "nightly"."""

MODALITIES = ("CT", "MR", "PT", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "RTIMAGE", "REG")
"""What is retrieved where `[census] modalities` says nothing."""


class Site(Section, frozen=True, kw_only=True):
    """`[site]`: who this is."""

    name: Annotated[str, TEXT]
    """The department's name, as reports and the signing key show it."""
    timezone: Annotated[str, TIMEZONE]
    """IANA name; what "tonight" means."""


class Vault(Section, frozen=True, kw_only=True):
    """`[vault]`: where the archive is and which keys it uses."""

    root: Annotated[Path, PATH]
    """The folder of everything the vault keeps; absolute."""
    signing_key: Annotated[Path, PATH] = Path("keys/signing_key")
    """OpenSSH private key (Ed25519) that signs every commit."""
    pseudonym_key: Annotated[Path, PATH] = Path("keys/pseudonym.key")
    """Key that turns patient IDs into the pseudonyms of the ledger, and blob ids into names on the share."""
    recipients: Annotated[tuple[str, ...], each(RECIPIENT)] = ()
    """age public keys that everything on the share is encrypted to."""
    identity: Annotated[Path | None, PATH] = None
    """age secret key; only for bringing data back from the share. None at night."""


class Dicom(Section, frozen=True, kw_only=True):
    """`[rois.dicom]`: the DICOM query/retrieve service of the ROIS."""

    ae_title: Annotated[str, AE_TITLE]
    """The ROIS's AE title."""
    host: Annotated[str, HOST]
    """Its address. An IP address works without DNS."""
    port: Annotated[int, PORT]
    """Its TCP port."""
    retrieve: Annotated[Literal["move", "get"], choice("move", "get")] = "move"
    """C-MOVE to the receiver, or C-GET, which needs no inbound port."""


class Sql(Section, frozen=True, kw_only=True):
    """`[rois.sql]`: the database of the ROIS, and where the documents are that its rows name."""

    connection: Annotated[str, CONNECTION]
    """ODBC connection string, without the password."""
    queries: Annotated[Path, PATH]
    """The query set: a TOML file of named statements."""
    password_file: Annotated[Path | None, PATH] = None
    """File whose first line is the account's password; None where the connection needs none."""
    timeout: Annotated[float, duration(1, 3600, "from 1s to 1h")] = 60.0
    """Seconds until a connection, a statement or a page of rows counts as unanswered."""
    retries: Annotated[int, whole_number(0, 20)] = 3
    """How often a statement is asked again when the connection was lost."""
    backoff: Annotated[float, duration(0, 600, "at most 10m")] = 2.0
    """Seconds before the first of these retries; doubles each time."""
    documents: Annotated[str | None, DOCUMENTS] = None
    """Folder, or `smb://server/share/folder`, that the rows' file names are relative to. None: no documents."""
    documents_user: Annotated[str | None, TEXT] = None
    """Account for the SMB share."""
    documents_password_file: Annotated[Path | None, PATH] = None
    """File whose first line is that account's password."""

    def password(self) -> str | None:
        """The database account's password. Raises ConfigError when its file can't be read."""
        return read_secret(self.password_file, "[rois.sql] password_file")

    def documents_password(self) -> str | None:
        """The password of the documents' share. Raises ConfigError when its file can't be read."""
        return read_secret(self.documents_password_file, "[rois.sql] documents_password_file")


class Rois(Section, frozen=True, kw_only=True):
    """`[rois]`: the radiation oncology information system."""

    dicom: Dicom
    sql: Sql | None = None


class Peer(Section, frozen=True, kw_only=True):
    """A DICOM node that may send to the receiver."""

    ae_title: Annotated[str, AE_TITLE]
    """Its AE title, as it calls itself."""
    host: Annotated[str, HOST]
    """The address that it connects from."""


class Receiver(Section, frozen=True, kw_only=True):
    """`[receiver]`: the vault's own AE title and, for C-MOVE, where it listens during the retrieval."""

    ae_title: Annotated[str, AE_TITLE]
    """The vault's AE title."""
    host: Annotated[str, HOST]
    """Address of this computer to listen on."""
    port: Annotated[int, PORT]
    """TCP port to listen on."""
    peers: tuple[Peer, ...] = ()
    """Who may send; the ROIS alone when left out."""
    max_object_size: Annotated[int, size(1 << 20, 1 << 40, "from 1MiB to 1TiB")] = 4 << 30
    """Largest object accepted, in bytes."""


class Retrieve(Section, frozen=True, kw_only=True):
    """`[retrieve]`: how the ROIS is asked."""

    refresh: Annotated[Mapping[str, Refresh], table(MODALITY, choice("nightly", "weekly", "once"))] = (
        msgspec.field(default_factory=dict)
    )
    """Per modality, how often what the vault already has is retrieved anew: `REFRESH` and the site's own."""
    retries: Annotated[int, whole_number(0, 20)] = 3
    """How often what failed or did not arrive is asked for again."""
    timeout: Annotated[float, duration(1, 3600, "from 1s to 1h")] = 60.0
    """Seconds without a sign of life after which a peer counts as silent."""
    backoff: Annotated[float, duration(0, 600, "at most 10m")] = 2.0
    """Seconds before the first retry; doubles each time."""
    relational: Annotated[bool, BOOLEAN] = False
    """Negotiate relational queries (PS3.4 C.5.3)."""
    model: Annotated[Literal["study", "patient"], choice("study", "patient")] = "study"
    """Information model tried first; the other one is the alternative."""

    def policy(self, modality: str) -> Refresh:
        """How often objects of `modality` that the vault has are retrieved anew."""
        return self.refresh.get(modality, "nightly")


class Census(Section, frozen=True, kw_only=True):
    """`[census]`: which patients are under treatment, and what is kept of them."""

    source: Annotated[Literal["list", "dicom", "sql"], choice("list", "dicom", "sql")] = "list"
    """The list below, every patient with a treatment record in the last `days`, or whom the database names."""
    patients: Annotated[tuple[str, ...], each(PATIENT)] = ()
    """Patient IDs for the source "list"."""
    days: Annotated[int, whole_number(1, 3650)] = 30
    """How far the sources "dicom" and "sql" look back for a last treatment."""
    modalities: Annotated[tuple[str, ...], each(MODALITY)] = MODALITIES
    """Modalities to keep; empty for all."""


class Share(Section, frozen=True, kw_only=True):
    """`[share]`: where the encrypted copy goes."""

    url: Annotated[str, SHARE_URL]
    """`file:///…`, `smb://server/share/folder` or `s3://bucket/prefix`."""
    user: Annotated[str | None, TEXT] = None
    """Account of the file server, or access key of the object store."""
    password_file: Annotated[Path | None, PATH] = None
    """File whose first line is its password, or the secret key."""
    endpoint: Annotated[str | None, ENDPOINT] = None
    """URL of the object store, where it is not Amazon's."""
    region: Annotated[str | None, TEXT] = None
    """Its region."""
    object_lock: Annotated[float | None, duration(60, 36525 * 86400, "from 1m to 100 years")] = None
    """Seconds for which the object store lets nobody remove what was put; None leaves that to the bucket."""
    timeout: Annotated[float, duration(1, 3600, "from 1s to 1h")] = 60.0
    """Seconds until a file server or an object store that says nothing counts as away."""

    def password(self) -> str | None:
        """The account's password. Raises ConfigError when its file can't be read."""
        return read_secret(self.password_file, "[share] password_file")


class Retention(Section, frozen=True, kw_only=True):
    """`[retention]`: how long what is no longer needed is kept. Without this section nothing ever goes."""

    after_last_treatment: Annotated[float, duration(86_400, 315_360_000, "from 1d to 3650d")] = 2_592_000.0
    """Seconds after the vault's last sign of treatment until a patient goes as a whole."""
    hourly: Annotated[float, duration(86_400, 31_536_000, "from 24h to 365d")] = 172_800.0
    """Seconds until what the hourly runs kept of a day goes."""
    largest_share: Annotated[float, fraction(0.01, 0.5)] = 0.1
    """Share of the patients that may go in one night; one always may."""


class Network(Section, frozen=True, kw_only=True):
    """`[network]`: commands that open and close the network around the phases that need it."""

    up: Annotated[tuple[str, ...], COMMAND]
    """Opens the network."""
    down: Annotated[tuple[str, ...], COMMAND]
    """Closes it; run on every way out."""
    check: Annotated[tuple[str, ...] | None, COMMAND] = None
    """Succeeds once the network can be used; asked until it does."""
    timeout: Annotated[float, duration(1, 600, "from 1s to 10m")] = 60.0
    """Seconds that each command, and the wait for `check`, may take."""


class Volatile(Section, frozen=True, kw_only=True):
    """One attribute that this ROIS changes by itself: when it alone differs, the object has not changed."""

    attribute: Annotated[str, ATTRIBUTE]
    """As `vault calibrate` prints it."""
    reason: Annotated[str, TEXT]
    """Why a difference means nothing; goes into the history."""


class Normal(Section, frozen=True, kw_only=True):
    """`[normal]`: what the normal form leaves out beside what ships with the vault."""

    volatile: tuple[Volatile, ...] = ()


class Anomalies(Section, frozen=True, kw_only=True):
    """`[anomalies]`: from what on a night counts as an attack, whatever it is. Learnt limits are below these."""

    changed: Annotated[float, fraction(0.01, 1)] = 0.3
    """Share of patients of whom something that was there before changed or vanished."""
    vanished: Annotated[float, fraction(0.01, 1)] = 0.1
    """Share of patients of whom an object or document vanished."""
    unstamped: Annotated[int, whole_number(1, 1000)] = 1
    """Plans and structure sets that changed while the database's stamp stood still."""
    withdrawn: Annotated[float, fraction(0.01, 1)] = 0.1
    """Share of patients of whom an approval was withdrawn."""
    unreadable: Annotated[int, whole_number(1, 1000)] = 2
    """Documents that can't be read any more."""
    misnamed: Annotated[int, whole_number(1, 1000)] = 3
    """Documents that are not what their extension says."""
    identity: Annotated[float, fraction(0.01, 1)] = 0.1
    """Share of patients of whom objects say another identity."""
    new_uids: Annotated[int, whole_number(1, 1000)] = 2
    """Patients whose objects all have new UIDs."""
    mass_edits: Annotated[int, whole_number(2, 1000)] = 5
    """Patients of whom something was edited within `window`."""
    window: Annotated[float, duration(1, 3600, "from 1s to 1h")] = 120.0
    """Seconds within which edits of several patients are one."""
    nights: Annotated[int, whole_number(3, 60)] = 14
    """Nights that have to be known before limits are learnt from them."""
    deviations: Annotated[float, fraction(1, 100)] = 6.0
    """Robust standard deviations above the usual that are still ordinary."""

    def threshold(self, measure: str) -> float:
        """The value from which a measure is an anomaly, whatever past nights were like."""
        return float(getattr(self, measure))


class Report(Section, frozen=True, kw_only=True):
    """`[report]`: how reports are printed."""

    paper: Annotated[Literal["a4", "letter"], choice("a4", "letter")] = "a4"
    """Size of the paper."""


class Config(Section, frozen=True, kw_only=True):
    """vault.toml, checked."""

    path: Path
    """The file itself; absolute."""
    site: Site
    vault: Vault
    rois: Rois
    receiver: Receiver
    census: Census
    retrieve: Retrieve = Retrieve()
    share: Share | None = None
    mail: Mail | None = None
    verification: Verification = Verification()
    retention: Retention | None = None
    network: Network | None = None
    anomalies: Anomalies = Anomalies()
    report: Report = Report()
    normal: Normal = Normal()
