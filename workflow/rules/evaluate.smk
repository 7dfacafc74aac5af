# The bound and the published loss of every trained network on held-out data.
rule evaluate:
    input:
        layout.network_files(ROOT, RUN),
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "evaluation/likelihood.py"),
    output:
        layout.likelihood_file(ROOT, RUN),
    params:
        values=lambda wildcards: of_task(wildcards.task, "evaluation"),
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/evaluate/{RUN}.txt",
    shell:
        "{CLI} evaluate {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"


# What images are compared by, and what real ones score; then every run's images.
COMPARISON = ("evaluation/fidelity.py", "evaluation/nearest.py", "networks/classifier.py")

for task in P.images:

    rule:
        name: f"features_{task}"
        input:
            layout.data_files(ROOT, task),
            sources(*COMPARISON, "training/classifier.py"),
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
            "{CLI} features {params.task} 2> {log}"


rule quality:
    input:
        layout.image_sample_files(ROOT, RUN),
        lambda wildcards: layout.data_files(ROOT, wildcards.task) + layout.feature_files(ROOT, P, wildcards.task),
        sources(*COMPARISON),
    output:
        layout.quality_file(ROOT, RUN),
    params:
        values=lambda wildcards: of_task(wildcards.task, "fidelity"),
    wildcard_constraints:
        task="|".join(P.images) or "no-images",
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/quality/{RUN}.txt",
    shell:
        "{CLI} quality {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"
