"""Training objectives, one file each: `loss` has the signature of losses.Objective.

A file may say FOR_IMAGES = True, that it is for images only. What needs torch is imported inside, since params are
checked without.
"""
