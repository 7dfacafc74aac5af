"""The report: one HTML file with every table and figure, made by Snakemake's `--report` from saved files.

`catalogue` says what is in it, `pages` shows tables as HTML, `about` says how the results came to be, `making` calls
Snakemake.
"""
