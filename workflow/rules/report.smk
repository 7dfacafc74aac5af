# Tables and figures, from saved files only, and what the report shows of them.
from mdm_prime.reporting.report import catalogue


report: "../report/overview.rst"


REPORTING = sources("reporting/**/*.py", "reporting/**/*.csv", "reporting/*.mplstyle")

for name in layout.TABLES:

    rule:
        name: f"table_{name}"
        input:
            layout.table_inputs(RESULTS, P, name),
            REPORTING,
        output:
            layout.table_files(RESULTS, name),
        params:
            values=joined(layout.table_inputs(RESULTS, P, name)),
            name=name,
            scale=P.scale,
        log:
            f"{ROOT}/log/table_{name}.txt",
        shell:
            "{CLI} table {params.name} 2> {log}"


rule metrics:
    input:
        layout.metrics_inputs(RESULTS),
        REPORTING,
    output:
        layout.metrics_files(RESULTS, P),
    params:
        scale=P.scale,
    log:
        f"{ROOT}/log/metrics.txt",
    shell:
        "{CLI} metrics 2> {log}"


for name in layout.FIGURES:

    rule:
        name: f"figure_{name}"
        input:
            layout.figure_inputs(RESULTS, P, name),
            REPORTING,
        output:
            report(
                layout.figure_files(RESULTS, name)[0],
                caption=f"../report/figures/{name}.rst",
                category=catalogue.FIGURES[name].category,
                labels=catalogue.FIGURES[name].labels,
            ),
            layout.figure_files(RESULTS, name)[1:],
        params:
            values=joined(layout.figure_inputs(RESULTS, P, name)),
            name=name,
            scale=P.scale,
        log:
            f"{ROOT}/log/figure_{name}.txt",
        shell:
            "{CLI} figure {params.name} 2> {log}"


# Never run: `mdm-prime report` writes the pages and asks Snakemake for the report of this rule.
rule report:
    input:
        [layout.figure_files(RESULTS, name)[0] for name in layout.FIGURES],
        [layout.table_files(RESULTS, name)[0] for name in layout.TABLES],
        [
            report(
                catalogue.page(RESULTS, P.scale, name),
                caption=f"../report/tables/{name}.rst",
                category=entry.category,
                labels=entry.labels,
            )
            for name, entry in catalogue.PAGES.items()
        ],
    params:
        scale=P.scale,
