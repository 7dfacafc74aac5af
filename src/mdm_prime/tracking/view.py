"""What MLflow's page of runs shows at first: the columns that runs of this project are told apart by.

MLflow keeps a shared view of the page as a tag of the experiment and names it by a key in the address: what its button
"Share" makes, with the names that its page uses (mlflow/server/js, experiment-page). Another version of MLflow that
cannot read it shows its own columns instead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

BOUND, PUBLISHED = ("ppl_bound", "bpd_bound"), ("published_loss_ppl", "bpd_published")
WIDTHS = {
    "params.`num_subtokens`": 130,
    "params.`model`": 130,
    "params.`scale`": 90,
    "tags.`seed`": 70,
    **{f"metrics.`{name}`": 150 for pair in zip(BOUND, PUBLISHED, strict=True) for name in pair},
}
KIND = {"mlflow.experimentKind": "custom_model_development"}  # not the pages of language model applications
VIEWS = {  # sorted by anything but time, children stand beside their parents instead of inside them, folded
    "runs": {"searchFilter": "", "orderByKey": "tags.`mlflow.runName`"},
    "losses": {"searchFilter": "tags.stage = 'evaluate'", "orderByKey": "params.`num_subtokens`"},
}


def tags() -> dict[str, str]:
    """The tags of the experiment: its kind and the views."""
    return KIND | {f"mlflow.sharedViewState.{_key(name)}": _content(name) for name in VIEWS}


def query(name: str) -> str:
    """What shows a view when it stands behind the address of an experiment's runs."""
    return f"?viewStateShareKey={_key(name)}&workflowType=machine_learning"


def _key(name: str) -> str:
    """Another one whenever the view changes."""
    return hashlib.sha256(_content(name).encode()).hexdigest()[:16]


def _content(name: str) -> str:
    columns = {"selectedColumns": list(WIDTHS), "columnOrder": list(WIDTHS), "columnWidths": WIDTHS}
    state = {**VIEWS[name], "orderByAsc": True, **columns}
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
