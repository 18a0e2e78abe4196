"""Plans, structure sets, doses and images as shapes and grids: what pictures, volumes and dose are made of.

Read from an object's raw elements, with bounds on everything that an object may claim. Lengths are in mm in the
patient's coordinates (PS3.3 C.7.6.2.1.1: x to the left, y to the back, z to the head) or at the isocentre.
"""

from __future__ import annotations


class GeometryError(ValueError):
    """An object's geometry can't be used; the message is one sentence for people, without values of the patient's."""
