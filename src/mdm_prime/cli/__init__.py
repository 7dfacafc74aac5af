"""The command line `mdm-prime`."""
