"""What the result JSON files hold, one kind a file: what writes one and what reads it share its declaration."""
