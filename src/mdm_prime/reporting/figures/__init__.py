"""The figures, a file each: found by declared.py."""
