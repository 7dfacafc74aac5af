# Data sets, and what needs no network.
for task in P.tasks:

    rule:
        name: f"data_{task}"
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
            "{CLI} data {params.task} 2> {log}"


rule oracle:
    input:
        layout.data_files(ROOT, "known_entropy"),
        sources("evaluation/oracle.py", "data/known_entropy.py", "core/subtokens.py"),
    output:
        layout.oracle_file(ROOT),
    params:
        values=values("oracle"),
    threads: P.compute.threads
    log:
        f"{ROOT}/log/oracle.txt",
    shell:
        "{CLI} oracle 2> {log}"


rule idle_steps:
    input:
        sources("evaluation/idle_steps.py", "samplers/exact.py", "core/schedules.py"),
    output:
        layout.idle_steps_file(ROOT),
    params:
        values=values("idle_steps"),
    threads: P.compute.threads
    log:
        f"{ROOT}/log/idle_steps.txt",
    shell:
        "{CLI} idle-steps 2> {log}"
