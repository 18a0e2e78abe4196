"""A ROIS that breaks every rule over one patient: that is said, and the night is done for the others."""

import json
import random
import struct
import time
import zlib

import faults
import hostile_peers as wire
import pytest
from hostile_data import deep, deflated
from hostile_peers import (
    DATA,
    PENDING,
    RESPONSE,
    SUCCESS,
    HostileRois,
    encoded,
    listed,
    pdu,
    pdv,
    store_request,
)
from peers import free_port
from rois_kit import image
from vaults import TestVault

from vault.archive.repository import all_repositories

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore:.*:UserWarning")]

MOST_MEMORY = 300
"""MiB that the whole command may take."""

SOON = 60
"""Seconds that a night of small objects may take, whatever they claim to be."""

PATIENCE = {  # as a site has them, but quicker
    "vault.rois.association.TIMEOUTS": 2,
    "vault.rois.association.LEAST_TIME": 2,
    "vault.rois.association.TIME_PER_OBJECT": 0,
    "vault.rois.query.MOST_ANSWERS": 300,
}


def study_of(patient):
    """A study UID of the patient's own."""
    return f"1.2.{zlib.crc32(patient.encode())}"


def made(patient, number=1, **changes):
    study = study_of(patient)
    names = {"SeriesInstanceUID": f"{study}.5", "SOPInstanceUID": f"{study}.5.{number}"}
    return image(patient, **{"StudyInstanceUID": study, "Modality": "RTPLAN", **names, **changes})


def both(patient):
    """The SOP Instance UIDs of a patient's two objects."""
    return [made(patient, number).SOPInstanceUID for number in (1, 2)]


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    with faults.Runner(tmp_path_factory.mktemp("runner")) as running:
        yield running


class Night:
    """A vault's night with a ROIS that does `scripts` to as many patients; between them are others."""

    def __init__(self, runner, folder, way="get", evil=(), **scripts):
        self.good = [f"GOOD-{number}" for number in range(len(evil) + 1)]
        patients = [self.good[0]]
        for patient, other in zip(evil, self.good[1:], strict=True):
            patients += [patient, other]
        objects = [made(patient, number) for patient in patients for number in (1, 2)]
        with HostileRois(objects, receiver_port=free_port(), **scripts) as rois:
            vault = TestVault(folder / "vault", rois, patients, retrieve=way)
            text = vault.toml.read_text()
            text = text.replace('timeout = "10s"', 'timeout = "1s"').replace("retries = 1", "retries = 0")
            vault.toml.write_text(text.replace("[receiver]\n", '[receiver]\nmax_object_size = "4MiB"\n'))
            self.folder, self.vault = folder, vault
            began = time.monotonic()
            self.ran = runner.run(["-c", vault.toml, "--json", "sync"], [], None, PATIENCE)
            self.took = time.monotonic() - began
        self.report = json.loads(self.ran.out)
        assert "patients" in self.report, self.ran.out
        self.held = {}
        for repository in all_repositories(vault.folder):
            paths = [path for path in repository.tree(repository.tip()) if path.endswith(".dcm")]
            uids = sorted(path.rpartition("/")[2].removesuffix(".dcm") for path in paths)
            self.held[repository.patient_id] = uids

    def said(self, patient):
        """What the report says about a patient."""
        return "\n".join(failure["reason"] for failure in self.report["patients"][patient]["failed"])

    def is_contained(self):
        """Check what holds whatever the ROIS did."""
        assert self.ran.memory < MOST_MEMORY
        assert "Traceback" not in self.ran.err
        assert "Warning" not in self.ran.err, self.ran.err[:3000]
        assert "unforeseen" not in self.ran.out
        assert {path.name for path in self.folder.iterdir()} == {"vault", "vault-share"}
        left = [path for path in (self.vault.folder / "inbox").rglob("*") if path.is_file()]
        assert left == []
        for patient in self.good:
            assert self.said(patient) == ""
            assert self.held[patient] == both(patient)


# over a query


def answers_without_end(link, request):
    wire.until_gone(lambda: link.answer(request, PENDING, listed(made(link.rois.about(request)))))


def answers_with(name, **changes):
    def script(link, request):
        link.answer(request, PENDING, listed(made(link.rois.about(request), **changes)))
        link.answer(request, SUCCESS)

    script.__name__ = name
    return script


def nested_answers(link, request):
    link.answer(request, PENDING, deep(10_000, implicit=True))
    link.answer(request, SUCCESS)


def noise_for_answers(link, request):
    chance = random.Random(1)
    for _ in range(20):
        link.answer(request, PENDING, chance.randbytes(1000))
    link.answer(request, SUCCESS)


def an_answer_without_a_data_set(link, request):
    link.answer(request, PENDING)
    link.answer(request, SUCCESS)


def no_answer(link, request):
    link.silence()


def half_an_answer(link, request):
    link.raw(pdu(DATA, pdv(request.context, 3, bytes(500)))[:200])
    link.silence()


def a_reset(link, request):
    link.raw(pdu(DATA, bytes(100))[:50])
    link.reset()


def an_answer_of_4_gib(link, request):
    link.raw(pdu(DATA, bytes(1000), 0xFFFFFFFF))
    link.silence()


def an_empty_pdu(link, request):
    link.raw(pdu(DATA, b"") * 5)
    link.silence()


def a_command_without_end(link, request):
    wire.until_gone(lambda: link.raw(pdu(DATA, pdv(request.context, 1, bytes(1 << 15)))))


def a_data_set_without_end(link, request):
    head = wire.command(request.kind | RESPONSE, answers=request.number(0x0110), data_set=1, status=PENDING)
    link.raw(pdu(DATA, pdv(request.context, 3, head)))
    wire.until_gone(lambda: link.raw(pdu(DATA, pdv(request.context, 0, bytes(1 << 15)))))


def an_answer_on_a_context_of_its_own(link, request):
    request.context = 77
    link.answer(request, PENDING, listed(made(link.rois.about(request))))
    link.silence()


def a_status_nobody_knows(link, request):
    link.answer(request, 0x1234)


def another_kind_of_answer(link, request):
    request.command = {**request.command, 0x0100: struct.pack("<H", 0x0140)}
    link.answer(request, PENDING, listed(made(link.rois.about(request))))
    link.silence()


def garbage(link, request):
    link.raw(random.Random(2).randbytes(10_000))
    link.silence()


QUERIES = {
    answers_without_end: "",  # too many of them, or for too long: whichever is first
    answers_with("a_path_for_a_uid", StudyInstanceUID="../../x"): "without a valid study",
    answers_with("an_absolute_path_for_a_uid", StudyInstanceUID="/etc/passwd"): "without a valid study",
    answers_with("a_uid_of_10_kb", StudyInstanceUID="1." * 5000): "without a valid study",
    answers_with("a_uid_with_a_nul", StudyInstanceUID="1.2\0.3"): "without a valid study",
    answers_with("another_patient", PatientID="GOOD-0"): "no such patient",
    answers_with("a_path_for_a_patient", PatientID="../../x"): "no such patient",
    nested_answers: "",
    noise_for_answers: "",
    an_answer_without_a_data_set: "no such patient",
    no_answer: "stopped answering for 1 s during a query",
    half_an_answer: "during a query",
    a_reset: "ended the connection during a query",
    an_answer_of_4_gib: "during a query",
    an_empty_pdu: "during a query",
    a_command_without_end: "during a query",
    a_data_set_without_end: "during a query",
    an_answer_on_a_context_of_its_own: "during a query",
    a_status_nobody_knows: "refused a STUDY query with status 0x1234",
    another_kind_of_answer: "during a query",
    garbage: "during a query",
}


@pytest.fixture(scope="module")
def queried(runner, tmp_path_factory):
    scripts = {script.__name__: script for script in QUERIES}
    return Night(runner, tmp_path_factory.mktemp("queried"), evil=scripts, find=scripts)


def test_queries_that_go_wrong_cost_no_other_patient_the_night(queried):
    queried.is_contained()
    assert queried.ran.code == 3


@pytest.mark.parametrize("script", QUERIES, ids=lambda script: script.__name__)
def test_a_query_that_goes_wrong_is_said(queried, script):
    assert QUERIES[script] in queried.said(script.__name__)
    assert queried.said(script.__name__) != ""
    assert script.__name__ not in queried.held


# over a retrieval


def objects_of(link, request):
    return link.rois.matching(request.identifier)


def success_and_nothing_sent(link, request):
    link.answer(request, SUCCESS, completed=2, remaining=0)


def responses_without_end(link, request):
    wire.until_gone(lambda: link.answer(request, PENDING, remaining=1))


def silence_in_the_middle(link, request):
    with link.storing(request) as storing:
        storing.give(objects_of(link, request)[0])
        link.answer(request, PENDING, remaining=1, completed=1)
        link.silence()


def a_failure_nobody_knows(link, request):
    link.answer(request, 0x1234)


def sends(name, *messages):
    """A script that sends what each of `messages` makes of an object, a pair of command and data set."""

    def script(link, request):
        with link.storing(request) as storing:
            for message in messages:
                storing.send(*message(objects_of(link, request)[0], storing.syntax))
        link.answer(request, SUCCESS)

    script.__name__ = name
    return script


def named(sop_uid):
    """An object under another name in its command."""
    return lambda item, syntax: (store_request(sop_uid), encoded(item, syntax))


def changed(**values):
    def message(item, syntax):
        item = made(item.PatientID, **values)
        return store_request(item.SOPInstanceUID), encoded(item, syntax)

    return message


def followed_by(tail):
    """An object with more behind it."""
    return lambda item, syntax: (store_request(item.SOPInstanceUID), encoded(item, syntax) + tail(syntax))


def nested(syntax):
    return deep(10_000, implicit=syntax == wire.IMPLICIT)


def too_long(syntax):
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 5 << 20) + bytes(5 << 20)


def raw(change):
    """A script that sends an object's pieces as `change` has them, over the wire of its storage."""

    def script(link, request):
        item = objects_of(link, request)[0]
        with link.storing(request) as storing:
            command = pdv(storing.context, 3, store_request(item.SOPInstanceUID))
            change(storing, command, encoded(item, storing.syntax))
            storing.link.silence(5)
        link.answer(request, SUCCESS)

    script.__name__ = change.__name__
    return script


@raw
def a_data_set_before_its_command(storing, command, data):
    storing.link.raw(pdu(DATA, pdv(storing.context, 2, data)) + pdu(DATA, command))


@raw
def a_context_never_proposed(storing, command, data):
    storing.link.message(251, store_request("1.2"), data)


@raw
def half_an_object(storing, command, data):
    storing.link.raw(pdu(DATA, command) + pdu(DATA, pdv(storing.context, 2, data))[:60])


@raw
def a_reset_in_the_middle_of_a_pdu(storing, command, data):
    storing.link.raw(pdu(DATA, command) + pdu(DATA, pdv(storing.context, 2, data))[:60])
    storing.link.reset()


@raw
def an_object_without_end(storing, command, data):
    storing.link.raw(pdu(DATA, command))
    with pytest.raises(wire.GoneError):
        wire.until_gone(lambda: storing.link.raw(pdu(DATA, pdv(storing.context, 0, bytes(1 << 15)))))


@raw
def a_pdu_of_4_gib(storing, command, data):
    storing.link.raw(pdu(DATA, command) + pdu(DATA, bytes(100), 0xFFFFFFFF))


@raw
def garbage_for_an_object(storing, command, data):
    storing.link.raw(random.Random(3).randbytes(10_000))


RETRIEVALS = [
    success_and_nothing_sent,
    responses_without_end,
    silence_in_the_middle,
    a_failure_nobody_knows,
    sends("a_path_for_the_name", named("../../x")),
    sends("an_absolute_path_for_the_name", named("/etc/passwd")),
    sends("a_name_of_10_kb", named("1." * 5000)),
    sends("a_name_with_a_nul", named("1.2\0.3")),
    sends("another_name_than_the_data_sets", named("1.2.3")),
    sends("a_path_for_a_series", changed(SeriesInstanceUID="../../x")),
    sends("an_object_of_a_stranger", changed(PatientID="STRANGER")),
    sends("an_object_of_a_path", changed(PatientID="../../x")),
    sends("an_object_of_nobody", changed(PatientID="")),
    sends("no_data_set", lambda item, syntax: (store_request(item.SOPInstanceUID), b"")),
    sends(
        "noise", lambda item, syntax: (store_request(item.SOPInstanceUID), random.Random(4).randbytes(9999))
    ),
    sends("an_object_nested_10000_deep", followed_by(nested)),
    sends("an_object_too_long", followed_by(too_long)),
    a_data_set_before_its_command,
    a_context_never_proposed,
    half_an_object,
    a_reset_in_the_middle_of_a_pdu,
    an_object_without_end,
    a_pdu_of_4_gib,
    garbage_for_an_object,
]


@pytest.fixture(scope="module", params=["get", "move"])
def retrieved(request, runner, tmp_path_factory):
    scripts = {script.__name__: script for script in RETRIEVALS}
    folder = tmp_path_factory.mktemp(request.param)
    return Night(runner, folder, request.param, evil=scripts, retrieve=scripts)


def test_retrievals_that_go_wrong_cost_no_other_patient_the_night(retrieved):
    retrieved.is_contained()
    assert retrieved.ran.code == 3


@pytest.mark.parametrize("script", RETRIEVALS, ids=lambda script: script.__name__)
def test_a_retrieval_that_goes_wrong_is_said_and_what_came_is_kept(retrieved, script):
    name = script.__name__
    kept = retrieved.held.get(name, [])
    assert set(kept) <= set(both(name))
    assert kept == both(name) or "not retrieved" in retrieved.said(name) or "not send" in retrieved.said(name)


# over a retrieval, deflated


def bomb(name, *parts):
    """A script that sends a deflated object: its own data set where `parts` has an ellipsis."""

    def script(link, request):
        item = objects_of(link, request)[0]
        whole = deflated(*(encoded(item) if part is ... else part for part in parts))
        with link.storing(request, wire.DEFLATED) as storing:
            storing.send(store_request(item.SOPInstanceUID), whole)
        link.answer(request, SUCCESS)

    script.__name__ = name
    return script


def opened(tag, gibibytes):
    """The head of an OB element of so many GiB."""
    return struct.pack("<HH2sHI", *tag, b"OB", 0, gibibytes << 30)


a_bomb_before_everything = bomb("a_bomb_before_everything", opened((0x0007, 0x1010), 3), 3 << 10, ...)
BOMBS = [
    a_bomb_before_everything,
    bomb("a_bomb_of_pixels", ..., opened((0x7FE0, 0x0010), 3), 3 << 10),
    bomb("a_bomb_of_a_private_element", ..., opened((0x7FE1, 0x1010), 3), 3 << 10),
    bomb("a_bomb_with_another_behind_it", ..., opened((0x7FE0, 0x0010), 1), 3 << 10),
    bomb("a_deflated_object_nested_10000_deep", ..., deep(10_000, implicit=False)),
    bomb("a_deflated_object_nested_a_million_deep", ..., deep(1_000_000, implicit=False)),
    bomb("a_deflated_object_with_noise_behind_it", ..., random.Random(5).randbytes(100_000)),
]


@pytest.fixture(scope="module")
def bombed(runner, tmp_path_factory):
    scripts = {script.__name__: script for script in BOMBS}
    return Night(runner, tmp_path_factory.mktemp("bombed"), "move", evil=scripts, retrieve=scripts)


def test_bombs_cost_no_other_patient_the_night(bombed):
    bombed.is_contained()
    assert bombed.ran.code == 3
    assert bombed.took < SOON


@pytest.mark.parametrize("script", BOMBS, ids=lambda script: script.__name__)
def test_a_bomb_is_kept_as_it_came_unless_its_header_is_out_of_reach(bombed, script):
    name = script.__name__
    reachable = script is not a_bomb_before_everything
    assert bombed.held.get(name, []) == both(name)[:reachable]
    assert f"{2 - reachable} found but not retrieved" in bombed.said(name)
