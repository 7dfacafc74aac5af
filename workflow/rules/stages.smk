# One rule a stage. Rules only call the command line.
from mdm_prime.reporting import declared
from mdm_prime.reporting.report import catalogue


report: "../report/overview.rst"


def below_root(pattern):
    return f"{ROOT}/{pattern}"


def inputs_of(stage):
    """Files, and patterns with the wildcards of the stage's own runs."""
    inputs = [path for files in stage.inputs for path in ([files.pattern] if files.runs is None else files.paths())]
    return [*map(below_root, inputs), *stage.outside]


def outputs_of(stage):
    """What it makes, and the record of what that was made of; the picture of a figure is shown in the report."""
    files = [below_root(pattern) for pattern in (*stage.outputs, stage.made)]
    if not stage.name.startswith("figure_"):
        return files
    name = stage.name.removeprefix("figure_")
    entry = declared.figure(name)
    caption = catalogue.caption_file(ROOT.resolve(), f"figures/{name}")
    return [report(files[0], caption=caption, category=entry.category, labels=entry.labels), *files[1:]]


SCHEDULERS_NAMES = {"minutes": "runtime", "memory": "mem_mb", "partition": "slurm_partition"}  # Snakemake's and Slurm's

for stage in STAGES:

    rule:
        name:
            stage.name
        input:
            inputs_of(stage),
        output:
            outputs_of(stage),
        wildcard_constraints:
            model="|".join(stage.models) or "none",
            seed="[0-9]+",
        threads: P.compute.threads * stage.devices if stage.gpu else 1
        resources:
            gpu=GPU * stage.devices if stage.gpu else 0,
            **{SCHEDULERS_NAMES[key]: value for key, value in P.compute.job(stage.command.split()[0]).items()},
        log:
            below_root("log/" + stage.made.removeprefix("made/").replace(".json", ".txt")),
        params:
            command=stage.command,  # `shell` is read when the job runs, behind the end of this loop
        shell:
            "{CLI} {params.command} 2> {log:q}"
