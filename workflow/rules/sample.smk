# Samples of every variant's first seed.
rule sample:
    input:
        layout.run_files(ROOT, RUN),
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "sampling.py", "stages/sample.py"),
    output:
        layout.sample_files(ROOT, RUN),
    params:
        sampling=lambda wildcards: P.task(wildcards.task).sampling.model_dump(mode="json"),
    threads: P.compute.threads
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/{RUN}/log/sample.txt",
    shell:
        "{CLI} sample {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"
