# Samples of every variant's first seed, of every seed on images.
rule sample:
    input:
        layout.network_files(ROOT, RUN),
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "samplers/exact.py", "stages/sample.py"),
    output:
        layout.sample_files(ROOT, RUN),
    params:
        values=lambda wildcards: of_task(wildcards.task, "sampling"),
    wildcard_constraints:
        task="|".join(params.TOKEN_TASKS),
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/sample/{RUN}.txt",
    shell:
        "{CLI} sample {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"


rule sample_images:
    input:
        layout.network_files(ROOT, RUN),
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "samplers/exact.py", "samplers/euler.py", "stages/sample_images.py", "stages/image_views.py"),
    output:
        layout.image_sample_files(ROOT, RUN),
    params:
        values=lambda wildcards: of_task(wildcards.task, "sampling", f"samplers.{wildcards.variant}"),
    wildcard_constraints:
        task="|".join(P.images) or "no-images",
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/sample/{RUN}.txt",
    shell:
        "{CLI} sample {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"
