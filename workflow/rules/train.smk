# One job a network. It saves its state beside the outputs and goes on from it after any interruption.
RUN = "{task}/{variant}/seed{seed}"
TRAINING = ("checkpoint", "ema", "loop", "losses")


rule train:
    input:
        lambda wildcards: layout.data_files(ROOT, wildcards.task),
        sources(*MATHEMATICS, "data/augmentation.py", *[f"training/{part}.py" for part in TRAINING]),
    output:
        layout.run_files(ROOT, RUN),
    params:
        run=lambda wildcards: run_of(wildcards).model_dump(mode="json"),
    threads: P.compute.threads
    retries: 1
    resources:
        gpu=GPU,
    log:
        f"{ROOT}/{RUN}/log/train.txt",
    shell:
        "{CLI} train {wildcards.task}/{wildcards.variant}/seed{wildcards.seed} 2> {log}"
