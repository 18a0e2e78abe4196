"""The mail servers, once for all tests that ask for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mailservers
import pytest


@pytest.fixture(scope="session")
def servers() -> Iterator[mailservers.MailServers]:
    if reason := mailservers.missing_mail_servers():
        pytest.skip(reason)
    with mailservers.mail_servers() as running:
        yield running


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a sweep syncs thousands of times."""
    shared = Path("/dev/shm")
    if not (shared.is_dir() and os.access(shared, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)
