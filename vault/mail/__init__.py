"""Mail to the people who confirm each night: composed offline, kept durably, handed over once."""
