"""The figures: each is a file, found by declared.py."""
