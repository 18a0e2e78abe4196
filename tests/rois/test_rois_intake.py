"""What the intake takes when the disk fills up."""

import pytest

from vault.dicom.part10 import file_head
from vault.rois.inbox import Inbox
from vault.rois.intake import OUT_OF_RESOURCES, RESERVE, Arrival, Intake

DATA = file_head("1.2", "1.2.3", "1.2.840.10008.1.2.1") + b"ten bytes!"


@pytest.mark.parametrize(
    ("room", "full"), [(RESERVE - 1, True), (RESERVE + len(DATA) - 1, True), (RESERVE + len(DATA), False)]
)
def test_the_reserve_holds_for_an_object_of_any_size(tmp_path, monkeypatch, room, full):
    monkeypatch.setattr("vault.rois.intake._free", lambda _folder: room)
    intake = Intake(Inbox(tmp_path / "inbox" / "run"), ["P1"], 1 << 30)
    spooled = tmp_path / "inbox" / "run" / "spool" / "arriving"
    spooled.write_bytes(DATA)
    status = intake.accept(Arrival(spooled, "1.2", "1.2.3", "1.2.840.10008.1.2.1", "ROIS"))
    assert not spooled.exists()
    assert (status == OUT_OF_RESOURCES) is full
    assert any("nearly full" in reason for reason in intake.refused) is full
