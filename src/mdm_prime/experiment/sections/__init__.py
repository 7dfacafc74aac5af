"""The sections of a params file, each with what its values may be."""
