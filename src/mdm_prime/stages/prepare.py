"""The stages without a network: data sets, objectives at the true posterior, idle steps of the event process."""

from __future__ import annotations

from mdm_prime import data, files, tracking
from mdm_prime.core import schedules
from mdm_prime.data import known_entropy
from mdm_prime.evaluation import idle_steps, oracle
from mdm_prime.experiment import layout
from mdm_prime.stages.place import Place


def prepare_data(place: Place, task: str) -> None:
    """Writes a task's data set: layout.DATA_FILES."""
    settings = place.config.task(task).data
    output = layout.data_dir(place.root, task)
    with tracking.stage(
        place.results, stage="data", name=task, params=settings.model_dump(mode="json"), tags=_tags(place, task)
    ) as tracked:
        data.prepare(task, settings, output)
        tracked.link("train", output / "train.npy")
        tracked.link("heldout", output / "heldout.npy")
        tracked.artifact(output / "meta.json")


def run_oracle(place: Place) -> None:
    """Writes oracle.json: both objectives where the denoiser is the true posterior."""
    place.device()
    settings = place.config.oracle
    output = layout.oracle_file(place.root)
    source = known_entropy.load_source(layout.data_dir(place.root, "known_entropy"))
    with tracking.stage(
        place.results, stage="oracle", name="oracle", params=settings.model_dump(), tags=_tags(place, "known_entropy")
    ) as tracked:
        files.write_json(output, {"rows": oracle.oracle_rows(place.config, source)})
        tracked.artifact(output)


def count_idle_steps(place: Place) -> None:
    """Writes idle_steps.json: the paper's Figure 1, measured without a network."""
    settings = place.config.idle_steps
    output = layout.idle_steps_file(place.root)
    with tracking.stage(
        place.results, stage="idle_steps", name="idle_steps", params=settings.model_dump(), tags=_tags(place, "none")
    ) as tracked:
        rows = [
            idle_steps.measure(
                schedules.linear(), settings.length, ell, num_steps, settings.num_sequences, settings.seed
            )
            for num_steps in settings.num_steps
            for ell in settings.num_subtokens
        ]
        files.write_json(output, {"rows": rows})
        tracked.artifact(output)


def _tags(place: Place, task: str) -> dict[str, str]:
    return {"task": task, "scale": place.config.scale}
