"""From all masked to clean, one file for each sampler, and the mathematics that they share."""
