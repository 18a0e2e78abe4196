"""What people read: the day's treatments as a typed model, and as PDFs that need no other file."""
