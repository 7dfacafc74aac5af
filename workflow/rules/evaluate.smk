# The bound and the published loss of every trained network on held-out data.
rule evaluate:
    input:
        layout.run_files(ROOT, RUN),
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "evaluation/likelihood.py"),
    output:
        layout.likelihood_file(ROOT, RUN),
    params:
        evaluation=lambda wildcards: P.task(wildcards.task).evaluation.model_dump(mode="json"),
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/{RUN}/log/evaluate.txt",
    shell:
        "{CLI} evaluate {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"


# What images are compared by, and what real ones score; then every run's images.
for task in P.images:

    rule:
        name: f"features_{task}"
        input:
            layout.data_files(ROOT, task),
            sources("evaluation/fidelity.py", "evaluation/nearest.py", "models/classifier.py", "training/classifier.py"),
        output:
            layout.feature_files(ROOT, P, task),
        params:
            classifier=P.images[task].classifier.model_dump(mode="json"),
            fidelity=P.images[task].fidelity.model_dump(mode="json"),
            task=task,
        threads: P.compute.threads
        resources:
            gpu=GPU,
        log:
            f"{ROOT}/{task}/features/log.txt",
        shell:
            "{CLI} features {params.task} 2> {log}"


rule quality:
    input:
        layout.image_sample_files(ROOT, RUN),
        lambda wildcards: layout.data_files(ROOT, wildcards.task) + layout.feature_files(ROOT, P, wildcards.task),
        sources("evaluation/fidelity.py", "evaluation/nearest.py", "models/classifier.py"),
    output:
        layout.quality_file(ROOT, RUN),
    params:
        fidelity=lambda wildcards: P.images[wildcards.task].fidelity.model_dump(mode="json"),
    wildcard_constraints:
        task="|".join(P.images) or "no-images",
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/{RUN}/log/quality.txt",
    shell:
        "{CLI} quality {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"
