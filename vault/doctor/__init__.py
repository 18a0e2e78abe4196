"""Try what a night needs, before the night. Nothing is kept, here or there."""
