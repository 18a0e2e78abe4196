"""An unchanged night of the charts, rows and documents of many patients, beside reading and hashing the files."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.cases import Bench
from bench.harness import VAULT, Case, Sample, Target, say
from bench.vaults import NEXT_RUN, RUN, WHEN, BenchVault
from vault.archive.emr_paths import held_documents
from vault.archive.repository import PatientRepository
from vault.charts import retrieve_charts
from vault.config import load
from vault.files import CHUNK
from vault.model import PatientID, Retrieval, RunID
from vault.progress import Silent
from vault.rois.census import census
from vault.sync_report import SyncReport

HASHED = "reading and hashing the files"
DOCUMENTS = 20
"""Of each patient."""
SIZE = 200_000
"""Bytes of a document."""

QUERIES = """
[queries]
census = "SELECT patient_id FROM document GROUP BY patient_id"
documents = "SELECT patient_id, document_key, file, title, changed_at FROM document WHERE patient_id = :patient_id"
"""


def cases(bench: Bench) -> Iterator[Case]:
    """Everything of the night that the charts add."""
    drivers = sorted(Path("/usr/lib").glob("*/odbc/libsqlite3odbc.so"))
    title = f"Unchanged charts: {bench.chart_patients} patients x {DOCUMENTS} documents of {SIZE // 1000} kB"
    if not drivers:
        yield Case(title, {}, left_out=["SQLite's ODBC driver is not installed"])
        return
    charts = _Charts(bench, drivers[0])
    yield Case(
        title,
        {VAULT: charts.night, HASHED: charts.hash},
        bench.chart_patients * DOCUMENTS * SIZE / 1e6,
        targets=(Target("≥ 0.5 x reading and hashing those files", HASHED, ratio=0.5),),
    )


class _Charts:
    """A vault that holds everybody's documents already."""

    def __init__(self, bench: Bench, driver: Path) -> None:
        self._patients = [f"CHART-{number:04}" for number in range(bench.chart_patients)]
        self._folder = bench.scratch / "charts"
        self._driver = driver

    @cached_property
    def _vault(self) -> BenchVault:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._write_charts()
        vault = BenchVault(self._folder / "vault", self._patients)
        text = vault.toml.read_text().replace("[census]\n", '[census]\nsource = "sql"\n')
        vault.toml.write_text(
            f"""{text}
[rois.sql]
connection = "DRIVER={self._driver};Database={self._folder / "charts.sqlite"};ReadOnly=1"
queries = "{self._folder / "queries.toml"}"
documents = "{self._folder / "documents"}"
"""
        )
        vault.config = load(vault.toml)
        say("  the first night of the charts")
        self._pass(vault, RUN)
        return vault

    def _write_charts(self) -> None:
        (self._folder / "queries.toml").write_text(QUERIES)
        chance = np.random.default_rng(1)
        with closing(sqlite3.connect(self._folder / "charts.sqlite")) as database:
            database.execute("CREATE TABLE document (patient_id, document_key, file, title, changed_at)")
            database.execute("CREATE INDEX of_patient ON document (patient_id)")  # as every ROIS has one
            for patient in self._patients:
                folder = self._folder / "documents" / patient
                folder.mkdir(parents=True)
                for number in range(DOCUMENTS):
                    (folder / f"{number}.bin").write_bytes(chance.bytes(SIZE))
                    row = (patient, f"{patient}-{number}", f"{patient}/{number}.bin", "Note", "2026-11-24")
                    database.execute("INSERT INTO document VALUES (?, ?, ?, ?, ?)", row)
            database.commit()

    def night(self, _folder: Path) -> Sample:
        """Census, rows, documents, comparison; nothing is new."""
        return Sample(self._pass(self._vault, NEXT_RUN))

    def _pass(self, vault: BenchVault, run: RunID) -> float:
        inbox, report = vault.inbox(run), SyncReport(run)
        for patient in self._patients:  # what the retrieval of the images leaves, with charts or without
            inbox.record(Retrieval(PatientID(patient), ()))
        began = time.perf_counter()
        patients = census(vault.config, today=WHEN.date())
        retrieve_charts(
            vault.config,
            inbox,
            patients,
            report,
            now=(WHEN + timedelta(days=1)).replace(tzinfo=None),
            held=lambda patient: _held(vault, patient),
            progress=Silent(),
        )
        if report.failed:
            raise RuntimeError(report.failed[0].reason)
        vault.commit(inbox)
        inbox.remove()
        return time.perf_counter() - began

    def hash(self, _folder: Path) -> Sample:
        """Read every document and take its SHA-1, as git names it."""
        files = sorted((self._vault.root.parent / "documents").rglob("*.bin"))
        began = time.perf_counter()
        for path in files:
            digest = hashlib.sha1(usedforsecurity=False)
            with path.open("rb", buffering=0) as file:
                while piece := file.read(CHUNK):
                    digest.update(piece)
        return Sample(time.perf_counter() - began)


def _held(vault: BenchVault, patient: PatientID) -> dict[str, str]:
    repository = PatientRepository.open(vault.root, patient)
    tip = repository.tip() if repository else None
    return held_documents(repository.tree(tip).items()) if repository and tip else {}
