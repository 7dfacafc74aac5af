"""Evaluation of official checkpoints, stage by stage: params, import, shards, images, tables, the plan."""

import json
import shlex
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import official_files
import official_scale
import pytest
import torch
import yaml
from official_files import save

from mdm_prime.cli import main as cli
from mdm_prime.data.tokenizer import load_tokenizer, separator_id
from mdm_prime.errors import UserError
from mdm_prime.evaluation import likelihood
from mdm_prime.experiment import config, layout
from mdm_prime.experiment.sections.official import address_of
from mdm_prime.official.plan import size_at_the_hub
from mdm_prime.reporting import published
from mdm_prime.reporting.images import channel_subtokens, model_name, same_setting
from mdm_prime.stages import gpus
from mdm_prime.stages.official import OfficialPlace, load, seen_by
from mdm_prime.stages.place import mathematics

OFFICIAL = Path(__file__).parents[2] / "params" / "official.yaml"
ROOT = Path("results/official-tiny")
REVISION = "0123456789abcdef0123456789abcdef01234567"


def run(command):
    return cli.main(["--params", "params/official-tiny.yaml", "official", *shlex.split(command)])


def refusal(capsys, command):
    """The one line that a command is refused with."""
    capsys.readouterr()
    assert run(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A folder with tiny checkpoints, their params, and a text of a few words."""
    folder = tmp_path_factory.mktemp("built")
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(40)]
    texts = [" ".join(rng.choice(words, 200)) for _ in range(12)]
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text)

    def own_text(values):
        values["text"]["data"] |= {"files": [f"{number}.txt" for number in range(12)], "validation_fraction": 0.5}

    official_scale.write(folder, change=own_text)
    return folder


@pytest.fixture
def project(built, tmp_path, monkeypatch, deterministic_mode_restored):
    """A copy of it; the current folder. Stages belong to a pipeline, which alone would mirror them."""
    monkeypatch.setenv("MDM_PRIME_PARENT_RUN", "pipeline-test")
    monkeypatch.chdir(shutil.copytree(built, tmp_path, dirs_exist_ok=True))
    return tmp_path


@pytest.fixture
def evaluated(project):
    """The same after every stage on l2 of text."""
    for command in ("data text", "import text/l2", "likelihood text/l2/0", "likelihood text/l2/1"):
        assert run(command) == 0
    return project


def place():
    return OfficialPlace(config.load_official("params/official-tiny.yaml"), Path("results"))


# ---- params ----------------------------------------------------------------------------------------------------------


def test_official_params_have_the_samplers_of_the_paper():
    """Every FID of the paper's own networks that has a checkpoint, with its sampler; nothing else."""
    official = config.load_official(OFFICIAL)
    curves = {"temperature": (1.0, 0.0, 0.0), "corrector": (0.0, 0.0, 0.0), "time_steps": (1.0, 0.0, 0.0)}
    seen = 0
    for settings in official.images.values():
        for checkpoint in settings.checkpoints.values():
            parts = checkpoint.num_subtokens, checkpoint.super_tokens
            named = {"dataset": settings.data.dataset, "num_subtokens": channel_subtokens(*parts)}
            named |= {"model": model_name(*parts, checkpoint.components)}
            named |= {"carry_over": "yes" if checkpoint.carry_over else "no"}
            for sampler in checkpoint.samplers:
                row = named | {"nfe": sampler.num_steps}
                (paper,) = (paper for paper in published.read("image_fid") if same_setting(paper, row))
                for name, default in curves.items():
                    curve = getattr(sampler, name)
                    given = (curve.a, curve.n, curve.b) if curve else default
                    assert given == tuple(paper[f"{name}_{part}"] for part in "anb")
                seen += 1
    told = [row for row in published.read("image_fid") if row["epochs"] is not None]
    assert seen == len(told) > 30


def test_official_params_have_the_rows_of_table_1_with_and_without_carry_over():
    checkpoints = config.load_official(OFFICIAL).text.checkpoints.values()
    found = {(checkpoint.model, checkpoint.num_subtokens) for checkpoint in checkpoints}
    table = {(row["model"], row["num_subtokens"] or 1) for row in published.read("openwebtext_perplexity")}
    assert found == table
    assert {c.num_subtokens for c in checkpoints if c.carry_over} == {1, 2, 3, 4, 6, 8}
    assert config.load_official(OFFICIAL).text.length == 1024


def test_a_params_file_is_of_one_kind(project):
    with pytest.raises(UserError, match=r"official-tiny.yaml: is of official checkpoints; see: mdm-prime --params"):
        config.load("params/official-tiny.yaml")
    (project / "params/other.yaml").write_text("text: {}\n")
    with pytest.raises(UserError, match=r"other\.yaml: has no repository of official checkpoints"):
        config.load_official("params/other.yaml")
    assert config.load_any("params/official-tiny.yaml").scale == "official-tiny"


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("text", "checkpoints", "l2", "ell"), 2, "text.checkpoints.l2.ell: unknown key; compare with params/official"),
        (("text", "checkpoints", "l2", "num_subtokens"), 1, "num_subtokens: is 1; does not fit model MDM-Prime"),
        (("text", "checkpoints"), {}, "text.checkpoints:"),
        (("text", "evaluation", "limit"), 0, "text.evaluation.limit: is 0; should be greater than 0"),
        (("images", "text"), None, "images.text"),
        (("images", "photos", "fidelity", "inception_weights"), "none.pth", "no such file: none.pth"),
        (("images", "photos", "checkpoints", "l2", "samplers"), [], "samplers"),
        (("scale",), "x", "scale: unknown key"),
    ],
)
def test_wrong_params_are_one_line(project, capsys, keys, value, message):
    path = Path("params/official-tiny.yaml")
    values = yaml.safe_load(path.read_text())
    section = values
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = values["images"]["photos"] if value is None else value
    path.write_text(yaml.safe_dump(values))
    assert message in refusal(capsys, "--dry-run")


def test_where_a_checkpoint_is():
    assert address_of("checkpoints", "text/a.ckpt") == "checkpoints/text/a.ckpt"
    assert address_of("checkpoints", "/data/a.ckpt") == "/data/a.ckpt"
    assert address_of(f"hf://owner/name@{REVISION}", "text/a.ckpt") == f"hf://owner/name/text/a.ckpt@{REVISION}"
    assert address_of("checkpoints", f"hf://owner/name/a.ckpt@{REVISION}") == f"hf://owner/name/a.ckpt@{REVISION}"


def test_limit():
    official = config.load_official(OFFICIAL)
    evaluation = official.limited(3).text.evaluation
    assert (evaluation.draws, evaluation.jobs) == (3 * evaluation.batch_size, evaluation.shards)
    assert official.limited(None) is official
    tiny = evaluation.model_copy(update={"num_samples": 7})
    assert (tiny.draws, tiny.jobs) == (7, 3)
    with pytest.raises(UserError, match="limit: is 0"):
        official.limited(0)


# ---- import ----------------------------------------------------------------------------------------------------------


def test_import_writes_what_the_file_holds_and_again(project):
    assert run("import text/l2") == 0
    files = layout.imported_files(ROOT, "text/l2")
    before = [file.read_bytes() for file in files]
    assert json.loads(before[0])["num_subtokens"] == 2
    assert run("import text/l2") == 0
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("text/l2", {"ell": 3, "base": 7}, "num_subtokens: the file has 3, the params of text say 2"),
        (
            "text/l2",
            {"ell": 2, "base": 18, "vocab_size": 310},
            "vocab_size: the file has 310, the params of text say 300",
        ),
        ("text/l2", {"ell": 2, "base": 18, "length": 17}, "length: the file has 17, the params of text say 16"),
        ("text/arm", {"ell": 1, "base": 300}, "model: the file has masked, the params of text say autoregressive"),
        ("photos/l2", {"size": 16}, "pixels: the file has 256, the params of photos say 64"),
    ],
)
def test_a_wrong_checkpoint_is_one_line_and_nothing_is_written(project, capsys, name, sizes, message):
    if name.startswith("text"):
        made = official_files.text(**{**official_scale.TEXT_SIZES, **sizes})
        save(project / f"checkpoints/{name}.ckpt", made)
    else:
        save(
            project / "checkpoints/image/l2.pth",
            official_files.image(ell=2, base=16, vocab_size=256, width=192, **sizes),
        )
    assert message in refusal(capsys, f"import {name}")
    assert not list(ROOT.glob("*/imported/*"))


def test_a_missing_checkpoint_is_one_line(project, capsys):
    (project / "checkpoints/text/l2.ckpt").unlink()
    message = "checkpoints/text/l2.ckpt: cannot be read (No such file or directory); give the file of a checkpoint"
    assert message in refusal(capsys, "import text/l2")


def test_a_missing_data_set_is_one_line_with_the_command_that_makes_it(evaluated, capsys):
    (evaluated / ROOT / "text/data/validation.npy").unlink()
    line = refusal(capsys, "likelihood text/l2/0")
    assert line.endswith("make it with: mdm-prime official data text")


def test_params_that_changed_after_the_import(evaluated, capsys):
    path = Path("params/official-tiny.yaml")
    path.write_text(path.read_text().replace("source: text/l2.ckpt", "source: text/l2.ckpt\n      weights: raw"))
    line = refusal(capsys, "likelihood text/l2/0")
    assert "holds ema weights, params say raw; import it again: mdm-prime official import text/l2" in line


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "official: no stage"),
        ("data", "official data: name is None; should be of the form TASK"),
        ("import text", "should be of the form TASK/CHECKPOINT"),
        ("likelihood text/l2/first", "should be of the form TASK/CHECKPOINT/SHARD"),
        ("import text/l9", "checkpoint 'text/l9' is not in scale 'official-tiny'; allowed: text/arm, text/l1, text/l2"),
        ("import words/l2", "task 'words' is unknown; allowed: text, photos"),
        ("sample text/l2/0/0", "task 'text' has no images; allowed: photos"),
        ("likelihood text/l2/2", "shard: is 2; should be 0 to 1"),
        ("sample photos/l2/1/0", "sampler: is 1; should be 0 to 0"),
        ("likelihood text/l2/0", "official.json: no such file"),
    ],
)
def test_wrong_names_are_one_line(project, capsys, command, message):
    assert message in refusal(capsys, command)


# ---- likelihoods -----------------------------------------------------------------------------------------------------


def test_shards_share_no_sequence(evaluated, monkeypatch):
    settings = place().config.text.evaluation
    seen = []

    def note(network, tokens, *arguments, **options):
        seen.append((tokens, options["num_samples"]))
        return real(network, tokens, *arguments, **options)

    real = likelihood.masked_likelihood
    monkeypatch.setattr(likelihood, "masked_likelihood", note)
    before = [path.read_bytes() for path in layout.likelihood_shards(ROOT, place().config, "text/l2")]
    assert [run(f"likelihood text/l2/{shard}") for shard in range(2)] == [0, 0]
    paths = layout.likelihood_shards(ROOT, place().config, "text/l2")
    assert [path.read_bytes() for path in paths] == before  # the same seed, the same bytes
    assert sum(draws for _, draws in seen) == settings.draws == 32
    first, second = ({row.tobytes() for row in tokens} for tokens, _ in seen)
    assert first.isdisjoint(second)
    values = [json.loads(path.read_text()) for path in paths]
    assert values[0]["nelbo"] != values[1]["nelbo"]


def test_framed_sequences_stand_between_separators(evaluated):
    imported, _ = load(place(), "text/l2", torch.device("cpu"))
    stored = place().tokens("text", "validation")
    tokens = seen_by(place(), "text", imported, stored)
    separator = separator_id(load_tokenizer(ROOT / "text/data/tokenizer.json"))
    assert tokens.shape == (len(stored), imported.length)
    assert (tokens[:, [0, -1]] == separator).all()
    assert (tokens[:, 1:-1] == stored).all()


def test_carry_over_is_that_of_the_params(evaluated):
    """The file says no; the params say yes, and the evaluation follows them."""
    imported, network = load(place(), "text/l2", torch.device("cpu"))
    assert imported.carry_over
    saved = json.loads(layout.likelihood_shards(ROOT, place().config, "text/l2")[0].read_text())
    assert (saved["carry_over"], saved["carry_over_of_file"]) == (True, False)
    subtokenizer, schedule = mathematics(imported)
    stored = place().tokens("text", "validation")
    order = np.random.default_rng(0).permutation(len(stored))[:32]
    tokens = seen_by(place(), "text", imported, stored[np.sort(order[0::2])])
    seed = int(np.random.SeedSequence([0, 0]).generate_state(1, np.uint64)[0] >> 1)
    options = {"num_samples": 16, "batch_size": 8, "seed": seed, "device": torch.device("cpu")}
    kept = likelihood.masked_likelihood(network, tokens, subtokenizer, schedule, carry_over=True, **options)
    assert saved["nelbo"] == pytest.approx(kept.nelbo.mean)
    other = likelihood.masked_likelihood(network, tokens, subtokenizer, schedule, carry_over=False, **options)
    assert saved["nelbo"] != pytest.approx(other.nelbo.mean)


def test_too_many_shards_for_the_data(project, capsys):
    path = Path("params/official-tiny.yaml")
    values = yaml.safe_load(path.read_text())
    values["text"]["evaluation"] |= {"shards": 1000, "num_samples": 10000, "limit": None}
    path.write_text(yaml.safe_dump(values))
    assert run("data text") == run("import text/l2") == 0
    assert "each needs at least 2 for a standard error: lower shards" in refusal(capsys, "likelihood text/l2/0")


def test_a_limit_on_the_command_line(evaluated):
    assert run("likelihood text/l2/0 --limit 1") == 0
    path = ROOT / "text/likelihood/l2/0-of-2.json"
    assert json.loads(path.read_text())["num_samples"] == 4


def test_jobs_take_different_gpus(project, monkeypatch):
    path = Path("params/official-tiny.yaml")
    path.write_text(path.read_text().replace("device: cpu", "device: cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(gpus, "_HELD", [])
    assert [place().device() for _ in range(2)] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    with pytest.raises(UserError, match="stages hold all 2 GPUs; run at most that many at a time: --resources gpu=2"):
        place().device()
    gpus._HELD.pop(0).close()  # as when the process ends
    assert place().device() == torch.device("cuda", 0)
    for lock in gpus._HELD:
        lock.close()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert place().device() == torch.device("cuda")


def test_every_piece_has_a_file_of_its_own():
    official = config.load_official(OFFICIAL)
    files = []
    for task, settings in official.tasks.items():
        files += layout.data_files("results/official", task)
        for key, checkpoint in settings.checkpoints.items():
            files += layout.imported_files("results/official", f"{task}/{key}")
            files += layout.likelihood_shards("results/official", official, f"{task}/{key}")
            if task in official.images:
                files.append(layout.official_quality_file("results/official", f"{task}/{key}"))
                for sampler in range(len(checkpoint.samplers)):
                    files += layout.sample_shards("results/official", official, f"{task}/{key}", sampler)
    assert len({str(file).lower() for file in files}) == len(files)
    assert {parent for file in files for parent in file.parents}.isdisjoint(files)


# ---- images ----------------------------------------------------------------------------------------------------------


def test_images_do_not_depend_on_the_shards(project):
    assert run("data photos") == run("import photos/l2") == 0
    assert [run(f"sample photos/l2/0/{shard}") for shard in range(2)] == [0, 0]
    shards = [np.load(path) for path in layout.sample_shards(ROOT, place().config, "photos/l2", 0)]
    path = Path("params/official-tiny.yaml")
    text = path.read_text()
    path.write_text(
        text.replace("batch_size: 6", "batch_size: 5").replace("seed: 0\n      shards: 2", "seed: 0\n      shards: 1")
    )
    assert place().config.images["photos"].sampling.jobs == 1
    assert run("sample photos/l2/0/0") == 0
    (whole,) = (np.load(path) for path in layout.sample_shards(ROOT, place().config, "photos/l2", 0))
    assert np.array_equal(whole["images"], np.concatenate([shard["images"] for shard in shards]))
    assert whole["images"].shape == (20, 192)
    assert (whole["nfe"] == 3).all()


# ---- what it would take ----------------------------------------------------------------------------------------------


@pytest.fixture
def hub(project, monkeypatch):
    """The same project with a repository of the hub that must not be fetched from; its sizes are asked for."""
    path = Path("params/official-tiny.yaml")
    path.write_text(path.read_text().replace("repository: checkpoints", f"repository: hf://owner/name@{REVISION}"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("downloaded"))
    return monkeypatch


def test_dry_run_shows_sizes_and_fetches_nothing(hub, capsys):
    asked = []

    class Found:
        size = 3 * 2**30

    def metadata(url, **_):
        asked.append(url)
        return Found

    hub.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    assert run("--dry-run") == 0
    text = capsys.readouterr().out
    assert len(asked) == 5
    assert all(REVISION in url for url in asked)
    assert "15.00" in text  # of all
    assert text.count("to download") == 5
    assert "Assumed of text, not measured (text.assumed in params): 100 forward passes a second" in text
    assert not Path("results").exists()


def test_dry_run_without_a_network(hub, capsys):
    def fail(*_, **__):
        raise ConnectionError("no route")

    hub.setattr(huggingface_hub, "get_hf_file_metadata", fail)
    assert run("--dry-run") == 0
    text = capsys.readouterr().out
    assert text.count("unknown") == 5 + 1
    assert "and 5 of unknown size" in " ".join(text.split())


def test_dry_run_estimates_time(project, capsys):
    path = Path("params/official-tiny.yaml")
    path.write_text(path.read_text().replace("passes_per_second: 100", "passes_per_second: 0.001"))
    (project / "checkpoints/text/l1.ckpt").unlink()
    assert run("import text/arm") == run("--dry-run") == 0
    rows = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if "/" in line and "│" in line}
    hours = {name: float(line.split("│")[5]) for name, line in rows.items()}
    assert hours["text/l2"] == pytest.approx(32 / 0.001 / 3600, abs=0.01)
    assert hours["photos/l2"] == pytest.approx((12 + 20 * 3) / 0.001 / 3600, abs=0.01)
    assert [rows[f"text/{name}"].split()[3] for name in ("arm", "l1", "l2")] == ["imported", "missing", "here"]


def test_an_address_without_a_commit_is_refused_in_the_plan(project, capsys):
    path = Path("params/official-tiny.yaml")
    path.write_text(path.read_text().replace("repository: checkpoints", "repository: hf://owner/name@main"))
    assert "revision 'main' can move" in refusal(capsys, "--dry-run")
    with pytest.raises(UserError, match="can move"):
        size_at_the_hub("hf://owner/name/file@main")
