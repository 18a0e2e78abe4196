"""One object at which the ROIS breaks: the others must not wait behind it, and it is named."""

import peers
import pytest
from rois_kit import configuration, image, run

from vault.department.server import Department, Faults
from vault.rois.inbox import Inbox


@pytest.mark.parametrize("method", ["move", "get"])
def test_everything_but_the_object_that_it_breaks_on_arrives(tmp_path, method):
    objects = [image(StudyInstanceUID="1.2", SeriesInstanceUID=f"1.2.{number}") for number in range(6)]
    for number, made in enumerate(objects):
        made.Modality = "RTPLAN" if number % 2 else "RTDOSE"
    poison = objects[2].SOPInstanceUID
    port = peers.free_port()
    destinations = {"VAULT": ("127.0.0.1", port)}
    with Department(tmp_path / "rois", destinations=destinations, faults=Faults(choke_on={poison})) as rois:
        rois.put(objects)
        config = configuration(
            tmp_path, ae_title=rois.ae_title, port=rois.port, receiver_port=port, method=method
        )
        inbox = Inbox(tmp_path / "inbox" / "run")
        retrieval = run(config, inbox, ["P1"])["P1"]
    assert [item.key.sop_uid for item in retrieval.missing] == [poison]
    assert {item.key.sop_uid for item in inbox.objects("P1")} == {made.SOPInstanceUID for made in objects} - {
        poison
    }
    assert retrieval.failures != ()
