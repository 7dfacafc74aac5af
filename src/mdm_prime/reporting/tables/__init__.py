"""The tables, a file each: found by declared.py."""
