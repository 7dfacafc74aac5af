"""MLflow, at a distance: a stage appends lines to a journal, and a process of its own mirrors the journals.

Importing mlflow costs 2 s, and its database may be locked, broken or far away. So no stage touches it: tracking costs
a stage one appended line per point, a store that cannot be written loses nothing and stops nothing, and what a journal
holds is mirrored later. The mirror runs when a pipeline starts and ends, when a stage that no pipeline started ends,
every few minutes of a long stage, and while `ui` is open.

    results/tracking/RUN.jsonl       a run's journal: start, metrics, tags, artifact and end lines
    results/tracking/mirrored.json   how many bytes of each journal are in the store, and as which MLflow run
    results/mlflow.db, mlartifacts/  the store, unless MLFLOW_TRACKING_URI names another
"""

from mdm_prime.tracking.pipeline import finish_pipeline, send, start_pipeline
from mdm_prime.tracking.runs import PARENT_RUN, StageRun, stage
from mdm_prime.tracking.server import ui

__all__ = ["PARENT_RUN", "StageRun", "finish_pipeline", "send", "stage", "start_pipeline", "ui"]
