"""What the paper claims, a file for each subject: found by claim.py."""
