"""Training objectives, one file each: `loss` maps a losses.NoisedBatch to (B,), nats per sequence.

A file may say FOR_IMAGES = True, that it is for images only. What needs torch is imported inside, since params are
checked without.
"""
