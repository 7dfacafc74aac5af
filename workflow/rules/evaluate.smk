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
