# The graph from embedded data to the paper's tables and figures: includes and final targets only.
#
#   snakemake --cores all results/tables/                       the tables, at the default scale
#   snakemake --cores all --config scale=smoke -- results/tables/
#   snakemake --cores all --config scale=official -- results/tables/official_text      (docs/official.md)
#
# MDM_PRIME_SCALE in the environment chooses the scale as well; --config wins.


include: "workflow/rules/common.smk"

if OFFICIAL_SCALE:

    include: "workflow/rules/official.smk"

else:

    include: "workflow/rules/data.smk"
    include: "workflow/rules/train.smk"
    include: "workflow/rules/sample.smk"
    include: "workflow/rules/evaluate.smk"
    include: "workflow/rules/report.smk"

    TABLES = [file for name in layout.TABLES for file in layout.table_files(RESULTS, name)]
    METRICS = layout.metrics_files(RESULTS, P)
    FIGURES = [file for name in layout.FIGURES for file in layout.figure_files(RESULTS, name)]
    EVERYTHING = [*TABLES, *METRICS, *FIGURES]

    rule all:
        default_target: True
        input:
            EVERYTHING,

    # A folder cannot be a target beside the files in it, but a rule's name can look like one. The tables' targets make
    # the metrics and figures as well, seconds of work: afterwards DVC has nothing to do either.
    rule:
        name: "results/tables/"
        input: EVERYTHING

    rule:
        name: "results/tables"
        input: EVERYTHING

    rule:
        name: "results/figures/"
        input: FIGURES

    rule:
        name: "results/figures"
        input: FIGURES
