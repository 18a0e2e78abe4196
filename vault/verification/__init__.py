"""Verdicts: who says that what changed was meant, and how the vault knows that it was they who said it."""
