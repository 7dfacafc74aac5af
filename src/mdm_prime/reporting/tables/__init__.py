"""The tables: each is a file, found by declared.py."""
