# The graph from data to the paper's tables and figures. Its stages are declared in src/mdm_prime/engines/stages.py.
#
#   snakemake --cores all results/tables/                       every table and figure, at the default scale
#   snakemake --cores all --config scale=smoke -- results/tables/
#
# MDM_PRIME_SCALE in the environment chooses the scale as well; --config wins.


include: "workflow/rules/common.smk"
include: "workflow/rules/stages.smk"
include: "workflow/rules/targets.smk"
