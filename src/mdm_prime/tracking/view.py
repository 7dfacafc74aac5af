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

KIND = {"mlflow.experimentKind": "custom_model_development"}  # not the pages of language model applications
CREATED = "runDateAndNestInfo"  # the column that is always there: wide enough for the state of a run
WHAT = {CREATED: 70, "params.`num_subtokens`": 125}
LOSSES = {  # at a width of 1600 all four are on the screen, with the pane of the assistant too
    "metrics.`ppl_bound`": 100,
    "metrics.`published_loss_ppl`": 145,
    "metrics.`bpd_bound`": 100,
    "metrics.`bpd_published`": 120,
}
VIEWS = {  # sorted by anything but time, children stand beside their parents instead of inside them, folded
    "runs": {
        "searchFilter": "",
        "orderByKey": "tags.`mlflow.runName`",
        "columnWidths": WHAT | {"params.`model`": 105, "params.`scale`": 70, "tags.`seed`": 55} | LOSSES,
    },
    "losses": {
        "searchFilter": "tags.stage = 'evaluate'",
        "orderByKey": "params.`num_subtokens`",
        "columnWidths": WHAT | LOSSES,
    },
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
    columns = list(VIEWS[name]["columnWidths"])
    state = {**VIEWS[name], "orderByAsc": True, "selectedColumns": columns, "columnOrder": columns}
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
