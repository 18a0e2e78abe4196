"""The normal form: what an object says, as text that is the same however the object was encoded."""

VERSION = 1
"""Changes when any byte of any normal form would: the nights after it write every normal form anew."""
