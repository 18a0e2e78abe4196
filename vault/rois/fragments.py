"""The pieces that DIMSE messages come in (PS3.8 Annex E): their order is checked, and their plain text does not stay.

pynetdicom takes pieces in whatever order they come: an object that begins anew before its end, or comes for a
presentation context that was never negotiated, would stay in the spool, or be the end of the connection's thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom.pdu_primitives import P_DATA

OUT_OF_ORDER = "a message whose parts contradict each other"


class Fragments:
    """Stands in for `receive_primitive` of an association's DIMSE provider.

    `cut` ends the connection for a reason: it is called for pieces that can't be of one message, and when one can't
    be written. pynetdicom's thread would die of it, and both sides would wait for their timeouts.
    """

    def __init__(self, association: Any, cut: Callable[[str], None]) -> None:
        self._association = association
        self._dimse = association.dimse
        self._receive = association.dimse.receive_primitive
        self._cut = cut
        self._spooled: set[Path] = set()

    def __call__(self, primitive: P_DATA) -> None:
        """Hand the pieces of one PDU on, one by one."""
        for context, data in primitive.presentation_data_value_list:
            piece = P_DATA()
            piece.presentation_data_value_list = [[context, data]]
            try:
                if not self._fits(context, data):
                    self._cut(OUT_OF_ORDER)
                    return
                self._receive(piece)
                self._note()
            except OSError as error:
                self._cut(f"an object could not be written: {os.strerror(error.errno or 0)}")
                return
            except Exception:  # a command that means nothing may raise anything; its words are the peer's
                self._cut("a message that can't be understood")
                return

    def take(self, spooled: Path) -> None:
        """Leave a spooled object to whoever handles it."""
        self._spooled.discard(spooled)

    def forget(self) -> None:
        """Remove what lies in the spool of this association, whole or not, and was not taken."""
        self._note()
        for path in tuple(self._spooled):
            path.unlink(missing_ok=True)

    def _fits(self, context: int, data: bytes) -> bool:
        """Whether a piece may come next: first the pieces of a command, then those of its data set.

        One that is empty and not the last can come a million times.
        """
        message = self._dimse.message
        is_command, is_last = bool(data[0] & 1), bool(data[0] & 2)
        if context not in self._association._accepted_cx or (len(data) == 1 and not is_last):
            return False
        if message is None or message.context_id is None:  # no command is complete
            return is_command
        return not is_command and context == message.context_id

    def _note(self) -> None:
        path = getattr(self._dimse.message, "_data_set_path", None)
        if path is not None:
            self._spooled.add(path)


def take(event: Any) -> None:
    """Leave the object of an EVT_C_STORE event to its handler: it is no longer removed when the connection ends."""
    event.assoc.dimse.receive_primitive.take(Path(event.dataset_path))


def forget(event: Any) -> None:
    """For an EVT_CONN_CLOSE event: remove what pynetdicom would leave in the spool, in plain text."""
    pieces = event.assoc.dimse.receive_primitive
    if isinstance(pieces, Fragments):  # it is not where no connection was made
        pieces.forget()
