# One job a network. It saves its state beside the outputs and goes on from it after any interruption.
RUN = "{task}/{variant}/seed{seed}"


rule train:
    input:
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "data/augmentation.py", "training/*.py"),
    output:
        layout.run_files(ROOT, RUN),
    params:
        values=lambda wildcards: of_task(
            wildcards.task, "data", "network", "training", f"variants.{wildcards.variant}"
        ),
    threads: P.compute.threads
    retries: 1
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/log/train/{RUN}.txt",
    shell:
        "{CLI} train {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"
