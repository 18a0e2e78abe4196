"""Retention: who goes, when, and why not yet; and the pruning that makes what goes really go."""
