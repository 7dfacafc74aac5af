"""From all masked to clean: the exact samplers of the reverse process, and the paper's Euler sampler."""
