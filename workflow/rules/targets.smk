# What is asked for by name. A folder cannot be a target beside the files in it, but a rule's name can look like one.
RUNS_ONCE = [stage for stage in STAGES if stage.runs is None]
TABLES = [below_root(path) for stage in RUNS_ONCE if stage.name.startswith("table_") for path in stage.outputs]
FIGURES = [below_root(path) for stage in RUNS_ONCE if stage.name.startswith("figure_") for path in stage.outputs]
METRICS = [below_root(path) for stage in RUNS_ONCE if stage.name == "metrics" for path in stage.outputs]
SETTINGS_FILE = layout.settings_file(ROOT).as_posix()
# The tables' targets make the metrics, the figures and the settings as well, seconds of work: afterwards DVC has nothing
# to do either.
EVERYTHING = [*TABLES, *METRICS, *FIGURES, SETTINGS_FILE]


rule all:
    default_target: True
    input:
        EVERYTHING,


# What the params say in full, for DVC and for the record; results/tables and results/figures show this scale from now on.
rule settings:
    output:
        SETTINGS_FILE,
    shell:
        "{CLI} settings > /dev/null"


for target in ("results/tables", "results/figures"):
    for slash in ("", "/"):

        rule:
            name: target + slash
            input: EVERYTHING if target == "results/tables" else [*FIGURES, SETTINGS_FILE]


# One table or figure by the name under which results/tables shows it.
for file in (*TABLES, *FIGURES):

    rule:
        name: file.replace(f"{ROOT}/", f"{RESULTS}/")
        input: file


# Never run: `mdm-prime report` writes the pages and asks Snakemake for the report of this rule.
rule report:
    input:
        [path for path in FIGURES if path.endswith(".png")],
        [path for path in TABLES if path.endswith(".csv")],
        [
            report(
                catalogue.page(ROOT, name),
                caption=catalogue.caption_file(ROOT.resolve(), f"tables/{name}"),
                category=entry.category,
                labels=entry.labels,
            )
            for name, entry in catalogue.pages(P).items()
        ],
    params:
        scale=P.scale,
