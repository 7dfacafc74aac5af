"""Masked diffusion over sub-tokens (MDM-Prime, arXiv 2505.18495), with the valid bound beside the published loss."""
