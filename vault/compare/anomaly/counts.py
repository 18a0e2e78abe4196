"""The counts that a patient's night comes to, apart from how they are counted: most nights count nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one patient's night. Nothing in it says who the patient is."""

    known: bool = True
    """The vault had the patient before: all that a new patient brings is new, and says nothing."""
    held: int = 0
    """Objects and documents that the vault had."""
    changed: int = 0
    """Of these, how many say something else now."""
    vanished: int = 0
    """Of these, how many the ROIS no longer has."""
    unstamped: int = 0
    """Plans and structure sets that were changed, and mattered, while the database's stamp of the plan stood still."""
    withdrawn: int = 0
    """Approvals that were taken back."""
    unreadable: int = 0
    """Documents that can't be read any more, or look like random bytes."""
    misnamed: int = 0
    """Documents whose first bytes or new names contradict their extension."""
    identity: int = 0
    """Objects that say another name, birth date, sex or ID than the patient had."""
    new_uids: bool = False
    """Most of what was there vanished, and as much came anew."""
    edits: tuple[str, ...] = ()
    """When things were edited (ISO 8601), as they themselves or the database say."""
