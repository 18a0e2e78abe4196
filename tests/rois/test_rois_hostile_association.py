"""A ROIS that answers the association itself with nonsense: that is said soon, and nothing comes of it."""

import random
import time

import pytest
from hostile_peers import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    IMPLICIT,
    HostileRois,
    acceptance,
    association,
    item,
    pdu,
    user_information,
)
from rois_kit import configuration, image, run

from vault.rois.inbox import Inbox

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # of pydicom, about nonsense for UIDs

SOON = 12
"""Seconds after which it is said, with a time-out of one second and no retries."""


def accepted(*items):
    return pdu(ASSOCIATE_AC, association("VAULT", "ROIS", *items, user_information()))


def contexts_never_proposed(link, _body):
    link.raw(accepted(*(acceptance(number) for number in (0, 2, 77, 128, 255))))


def proper_contexts_and_others(link, body):
    link.accept(body)
    link.raw(accepted(acceptance(77)))


def every_context_twice(link, _body):
    link.raw(accepted(*(acceptance(number) for number in (1, 1, 3, 3, 5, 5))))


def a_syntax_never_proposed(link, _body):
    link.raw(accepted(*(acceptance(number, "1.2.840.10008.1.2.2") for number in range(1, 9, 2))))


def a_syntax_that_is_a_path(link, _body):
    link.raw(accepted(*(acceptance(number, "../../x\0") for number in range(1, 9, 2))))


def a_syntax_of_10_kb(link, _body):
    link.raw(accepted(*(acceptance(number, "1." * 5000) for number in range(1, 9, 2))))


def results_nobody_knows(link, _body):
    link.raw(accepted(*(acceptance(number, IMPLICIT, 0xEE) for number in range(1, 9, 2))))


def no_contexts(link, _body):
    link.raw(accepted())


def unknown_items(link, _body):
    link.raw(accepted(item(0xFF, bytes(60_000)), item(0x21, b"")))


def an_acceptance_of_4_gib(link, _body):
    link.raw(pdu(ASSOCIATE_AC, bytes(1000), 0xFFFFFFFF))


def a_rejection_nobody_knows(link, _body):
    link.raw(pdu(ASSOCIATE_RJ, b"\0\xee\xee\xee"))


def an_abort(link, _body):
    link.raw(pdu(ABORT, bytes(4)))


def held_open(answer):
    """An answer after which the connection stays open, and the other side has to end it."""

    def accept(link, body):
        answer(link, body)
        link.silence(SOON)

    return accept


ANSWERS = [
    contexts_never_proposed,
    every_context_twice,
    a_syntax_never_proposed,
    a_syntax_that_is_a_path,
    a_syntax_of_10_kb,
    results_nobody_knows,
    no_contexts,
    unknown_items,
    an_acceptance_of_4_gib,
    a_rejection_nobody_knows,
    an_abort,
]


def tls_alert(link):
    link.read_pdu()
    link.raw(b"\x15\x03\x03\x00\x02\x02\x46")  # fatal: protocol_version
    link.silence(SOON)


def tls_hello(link):
    link.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.Random(6).randbytes(505))
    link.silence(SOON)


def ssh_banner(link):
    link.raw(b"SSH-2.0-OpenSSH_9.2\r\n")
    link.silence(SOON)


def silence(link):
    link.silence(SOON)


def closed(link):
    link.close()


def reset(link):
    link.reset()


def said(folder, **hooks):
    """What is said about a patient after a night with a ROIS that has these hooks."""
    with HostileRois([image(Modality="RTPLAN")], **hooks) as rois:
        config = configuration(
            folder,
            port=rois.port,
            method="get",
            retrieve='retries = 0\ntimeout = "1s"\nbackoff = "0s"',
        )
        began = time.monotonic()
        done = run(config, Inbox(folder / "inbox" / "run"), ["P1"])["P1"]
        assert time.monotonic() - began < SOON
    assert not done.complete
    assert not Inbox(folder / "inbox" / "run").arrived("P1")
    return "\n".join(failure.reason for failure in done.failures)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)
def test_nonsense_for_an_acceptance_is_said(tmp_path, answer):
    assert "ROIS at 127.0.0.1" in said(tmp_path, accept=held_open(answer))


@pytest.mark.parametrize(
    "greeting",
    [tls_alert, tls_hello, ssh_banner, silence, closed, reset],
    ids=lambda greeting: greeting.__name__,
)
def test_a_port_that_speaks_something_else_is_said(tmp_path, greeting):
    assert "ROIS at 127.0.0.1" in said(tmp_path, connect=greeting)


def test_a_second_acceptance_ends_the_association(tmp_path):
    assert "ROIS at 127.0.0.1" in said(tmp_path, accept=held_open(proper_contexts_and_others))
