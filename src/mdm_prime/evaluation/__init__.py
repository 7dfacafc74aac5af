"""Likelihoods, oracle values and idle steps, each from saved files to one JSON file."""
