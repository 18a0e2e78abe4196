"""vault: a versioned, signed, encrypted archive of what a radiation oncology department needs to go on treating."""

__version__ = "0.1.0"
