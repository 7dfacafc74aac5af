# The authors' checkpoints: imported, evaluated in shards, sampled in shards, and two tables. One job a piece, so that
# an interrupted run goes on with what is missing, and a machine with several GPUs works on several (--resources gpu=N).
#
#   snakemake --cores all --config scale=official -- results/tables/official_text
#   snakemake --cores all --config scale=official limit=2 -- results/tables/official_text      2 batches a checkpoint
from mdm_prime.experiment.sections.official import address_of


try:
    P = P.limited(int(config["limit"]) if "limit" in config else None)
except (UserError, ValueError) as error:
    sys.stderr.write(f"mdm-prime: {error}\n")
    sys.exit(2)
OFFICIAL = f"{CLI} official" + (f" --limit {config['limit']}" if "limit" in config else "")
OR_SAY_WHY = "2> {log} || {{ cat {log} >&2; exit 2; }}"
IN_A_SHARD = "evaluation/likelihood.py", "official/imported.py", "stages/official.py"


wildcard_constraints:
    shard="[0-9]+",
    jobs="[0-9]+",
    number="[0-9]+",


def file_of(wildcards):
    """The checkpoint, where it is a file of this machine: another file there is imported again."""
    name = f"{wildcards.task}/{wildcards.variant}"
    path = layout.Path(address_of(P.repository, P.checkpoint(name).source))
    return [path] if path.is_file() else []


def of_checkpoint(wildcards, *keys):
    """The values at keys of a task, and those of one of its checkpoints but for its samplers."""
    found = of_task(wildcards.task, *keys, *([] if wildcards.task in P.images else ["framed"]))
    section = P.checkpoint(f"{wildcards.task}/{wildcards.variant}").model_dump(mode="json")
    return found | {key: value for key, value in section.items() if key != "samplers"}


for task in P.tasks:

    rule:
        name: f"official_data_{task}"
        input:
            sources("data/*.py"),
        output:
            layout.data_files(ROOT, task),
        params:
            values=of_task(task, "data"),
            task=task,
        log:
            f"{ROOT}/log/data/{task}.txt",
        shell:
            "{OFFICIAL} data {params.task} " + OR_SAY_WHY


rule official_import:
    input:
        file_of,
        sources("official/*.py"),
    output:
        layout.imported_files(ROOT, "{task}/{variant}"),
    params:
        values=lambda wildcards: of_checkpoint(wildcards, "data"),
        repository=P.repository,
    log:
        f"{ROOT}/log/import/{{task}}/{{variant}}.txt",
    shell:
        "{OFFICIAL} import {wildcards.task}/{wildcards.variant} " + OR_SAY_WHY


rule official_likelihood:
    input:
        layout.imported_files(ROOT, "{task}/{variant}"),
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, *IN_A_SHARD),
    output:
        f"{ROOT}/{{task}}/likelihood/{{variant}}/{{shard}}-of-{{jobs}}.json",
    params:
        values=lambda wildcards: of_checkpoint(wildcards, "evaluation"),
        draws=lambda wildcards: P.task(wildcards.task).evaluation.draws,
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/likelihood/{{task}}/{{variant}}/{{shard}}-of-{{jobs}}.txt",
    shell:
        "{OFFICIAL} likelihood {wildcards.task}/{wildcards.variant}/{wildcards.shard} " + OR_SAY_WHY


for task in P.images:

    rule:
        name: f"official_features_{task}"
        input:
            layout.data_files(ROOT, task),
            sources("evaluation/fidelity.py", "evaluation/nearest.py", "networks/classifier.py", "training/classifier.py"),
        output:
            layout.feature_files(ROOT, P, task),
        params:
            values=of_task(task, "classifier", "fidelity"),
            task=task,
        threads: P.compute.threads
        resources:
            gpu=GPU,
        log:
            f"{ROOT}/log/features/{task}.txt",
        shell:
            "{OFFICIAL} features {params.task} " + OR_SAY_WHY


rule official_sample:
    input:
        layout.imported_files(ROOT, "{task}/{variant}"),
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "samplers/exact.py", "samplers/euler.py", "stages/official_images.py", "stages/image_views.py"),
    output:
        f"{ROOT}/{{task}}/samples/{{variant}}/sampler{{number}}/{{shard}}-of-{{jobs}}.npz",
    params:
        values=lambda wildcards: of_checkpoint(wildcards, "sampling"),
        sampler=lambda wildcards: P.image_task(wildcards.task)
        .checkpoints[wildcards.variant]
        .samplers[int(wildcards.number)]
        .model_dump(mode="json"),
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/sample/{{task}}/{{variant}}/{{number}}/{{shard}}-of-{{jobs}}.txt",
    shell:
        "{OFFICIAL} sample {wildcards.task}/{wildcards.variant}/{wildcards.number}/{wildcards.shard} " + OR_SAY_WHY


rule official_quality:
    input:
        lambda wildcards: [
            file
            for number in range(len(P.image_task(wildcards.task).checkpoints[wildcards.variant].samplers))
            for file in layout.sample_shards(ROOT, P, f"{wildcards.task}/{wildcards.variant}", number)
        ],
        lambda wildcards: layout.data_files(ROOT, wildcards.task) + layout.feature_files(ROOT, P, wildcards.task),
        sources("evaluation/fidelity.py", "evaluation/nearest.py", "networks/classifier.py"),
    output:
        layout.official_quality_file(ROOT, "{task}/{variant}"),
    params:
        values=lambda wildcards: of_checkpoint(wildcards, "fidelity"),
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/quality/{{task}}/{{variant}}.txt",
    shell:
        "{OFFICIAL} quality {wildcards.task}/{wildcards.variant} " + OR_SAY_WHY


TABLES = [name for name in layout.OFFICIAL_TABLES if P.images or name != "official_image"]

for name in TABLES:

    rule:
        name: f"table_{name}"
        input:
            layout.official_table_inputs(RESULTS, P, name),
            sources("reporting/**/*.py", "reporting/**/*.csv"),
        output:
            layout.table_files(RESULTS, name),
        params:
            name=name,
            scale=P.scale,
        log:
            f"{ROOT}/log/table_{name}.txt",
        shell:
            "{OFFICIAL} table {params.name} " + OR_SAY_WHY

    # A rule's name can look like a folder or a file without its suffix.
    rule:
        name: f"results/tables/{name}"
        input: layout.table_files(RESULTS, name)


rule all:
    default_target: True
    input:
        [file for name in TABLES for file in layout.table_files(RESULTS, name)],
