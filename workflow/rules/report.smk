# Tables and figures, from saved files only.
for name in layout.TABLES:

    rule:
        name: f"table_{name}"
        input:
            layout.table_inputs(RESULTS, P, name),
            sources("reporting/*.py", "reporting/tables/*.py", "reporting/claims/*.py", "reporting/published/*.csv"),
        output:
            layout.table_files(RESULTS, name),
        params:
            name=name,
            scale=P.scale,
        log:
            f"{ROOT}/log/table_{name}.txt",
        shell:
            "{CLI} table {params.name} 2> {log}"


for name in layout.FIGURES:

    rule:
        name: f"figure_{name}"
        input:
            layout.figure_inputs(RESULTS, P, name),
            sources("reporting/*.py", "reporting/figures/*.py", "reporting/*.mplstyle", "reporting/published/*.csv"),
        output:
            layout.figure_files(RESULTS, name),
        params:
            name=name,
            scale=P.scale,
        log:
            f"{ROOT}/log/figure_{name}.txt",
        shell:
            "{CLI} figure {params.name} 2> {log}"
