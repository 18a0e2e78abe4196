"""Whether an emergency is in force, in words: then every mail says so."""

from __future__ import annotations

from datetime import tzinfo

from vault.archive.ledger import Ledger
from vault.retention.standing import emergency_since


def in_force(ledger: Ledger, zone: tzinfo) -> str:
    """`since 23 Nov, 14:05`, by clocks in `zone`; empty when no emergency is. Raises IntegrityError."""
    since = emergency_since(ledger)
    return f"since {since.astimezone(zone):%d %b, %H:%M}" if since else ""
