"""vault: a versioned, signed, encrypted archive of what a radiation oncology department needs to go on treating."""

import os

__version__ = "0.1.0"

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""Before numpy is loaded: nothing here multiplies matrices, and the threads that wait for it take time from those at
work (a fifth of the store stage, measured)."""
