"""Claims about the quality of images (abstract, Tables 3 and 4, and the values in the official repository)."""

from __future__ import annotations

from functools import partial

from mdm_prime.reporting import published
from mdm_prime.reporting.claim import ON_IMAGES, Claim
from mdm_prime.reporting.records import Row
from mdm_prime.reporting.rules import images
from mdm_prime.reporting.rules.images import at_equal_evaluations, by_evaluations, is_two, subtokens, two

CIFAR, IMAGENET = "CIFAR-10", "ImageNet-32"
TABLE = {CIFAR: "Table 3", IMAGENET: "Table 4"}
REPOSITORY = "official repository, image/README.md"  # FID for each l and number of network evaluations
DISCRETE = ("PixelCNN",)  # and all that the table gives a number of network evaluations for; the others are continuous
COMPARABLE = 0.1  # share by which a FID may exceed one that it is comparable to; the paper gives no number
OTHERS = {
    dataset: [row for row in published.read("image_fid") if row["dataset"] == dataset and row["num_subtokens"] is None]
    for dataset in TABLE
}
RIVALS = [row for row in OTHERS[CIFAR] if row["nfe"] is not None]
SCOREFLOW = next(row for row in OTHERS[IMAGENET] if row["model"] == "ScoreFlow (VP)")
TWO_OF_CIFAR = sorted((row for row in by_evaluations() if is_two(row) and row["dataset"] == CIFAR),
                      key=lambda row: int(row["nfe"]))  # fmt: skip

Images = partial(Claim, section="5 images", evidence=images.EVIDENCE, needs=ON_IMAGES)


def named(row: Row) -> str:
    return f"{row['fid']:.2f} ({row['model']})"


def fid(dataset: str) -> Claim:
    return Images(
        claim=f"The FID of MDM-Prime (l=2) on {dataset} with {two(dataset)['nfe']} network evaluations",
        where=f"abstract, {TABLE[dataset]}",
        published_value=f"{two(dataset)['fid']:.2f}",
        rule=images.FidAgrees(dataset),
    )


def beats(dataset: str, rival: str) -> Claim:
    best, other = two(dataset), next(row for row in images.others(dataset) if row["model"] == rival)
    return Images(
        claim=f"MDM-Prime (l=2) has a lower FID than {rival} on {dataset} with {best['nfe']} network evaluations",
        where=TABLE[dataset],
        published_value=f"{best['fid']:.2f} against {other['fid']:.2f}",
        rule=images.FidBelowModel(dataset, rival),
    )


def inception_score(dataset: str) -> Claim:
    listed = ", ".join(f"{row['inception_score']:.2f} ({row['model']})" for row in images.others(dataset))
    return Images(
        claim=f"MDM-Prime (l=2) has a higher Inception score than MDM and MDM-Mixture on {dataset}",
        where=TABLE[dataset],
        published_value=f"{two(dataset)['inception_score']:.2f} against {listed}",
        rule=images.InceptionScoreHighest(dataset),
    )


def like_continuous(dataset: str) -> Claim:
    ours = two(dataset)["fid"]
    rivals = [row for row in OTHERS[dataset] if row["nfe"] is None and row["model"] not in DISCRETE]
    best = min(rivals, key=lambda row: float(row["fid"]))
    lower = sum(ours < row["fid"] for row in rivals)
    return Images(
        claim=f"MDM-Prime (l=2) has a FID on {dataset} that is comparable to the best continuous model's, which is "
        f"taken for at most {100 * COMPARABLE:.0f} % higher",
        where=f"abstract, {TABLE[dataset]}",
        published_value=f"{ours:.2f} against {named(best)}, {100 * (ours / best['fid'] - 1):.0f} % higher; lower than "
        f"{lower} of {len(rivals)} continuous models",
        rule=images.FidBelow(dataset, ((1 + COMPARABLE) * best["fid"],)),
    )


def next_lowest(paper: Row) -> str:
    """The value of l = 2 and the next lowest of another l with as many network evaluations."""
    second = min(at_equal_evaluations(paper), key=lambda row: float(row["fid"]))
    return f"{paper['dataset']}: {paper['fid']:.2f}, next {second['fid']:.2f} ({subtokens(second)})"


CLAIMS = (
    fid(CIFAR),
    fid(IMAGENET),
    *(beats(dataset, rival) for dataset in TABLE for rival in ("MDM", "MDM-Mixture")),
    inception_score(CIFAR),
    inception_score(IMAGENET),
    Images(
        claim="MDM-Prime (l=2) has a lower FID on CIFAR-10 than other discrete models with more network evaluations",
        where=TABLE[CIFAR],
        published_value=f"{two(CIFAR)['fid']:.2f} with {two(CIFAR)['nfe']} against "
        + ", ".join(f"{named(row)} with {row['nfe']}" for row in RIVALS),
        rule=images.FidBelow(CIFAR, tuple(row["fid"] for row in RIVALS)),
    ),
    like_continuous(CIFAR),
    like_continuous(IMAGENET),
    Images(
        claim="MDM-Prime (l=2) has a lower FID on ImageNet-32 than ScoreFlow (VP)",
        where=TABLE[IMAGENET],
        published_value=f"{two(IMAGENET)['fid']:.2f} against {named(SCOREFLOW)}, better by "
        f"{SCOREFLOW['fid'] - two(IMAGENET)['fid']:.2f}",
        rule=images.FidBelow(IMAGENET, (SCOREFLOW["fid"],)),
    ),
    Images(
        claim="MDM-Prime with l=2 has the lowest FID of all l on CIFAR-10 and ImageNet-32, at equal evaluations",
        where=REPOSITORY,
        published_value="; ".join(
            next_lowest(row) for row in by_evaluations() if is_two(row) and row["inception_score"] is not None
        ),
        rule=images.LowestAtEqualEvaluations(),
    ),
    Images(
        claim="More network evaluations give better images, for every l",
        where=REPOSITORY,
        published_value="FID falls for every l on both sets, such as CIFAR-10, l=2: "
        f"{', '.join(format(row['fid'], '.2f') for row in TWO_OF_CIFAR)} with "
        f"{', '.join(str(row['nfe']) for row in TWO_OF_CIFAR)}",
        rule=images.FallsWithEvaluations(),
        headline=True,
    ),
)
