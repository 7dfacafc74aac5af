"""The sections of a params file, each with what its values may be. config.py reads and joins them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


def _distinct(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(values)) != len(values):
        raise ValueError("a value stands twice")
    return values


Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch takes
SampleSeed = Annotated[int, Field(ge=0, lt=2**8)]  # a generator of 32 bits for each sample: 8 for the seed,
SampleCount = Annotated[int, Field(gt=0, le=2**24)]  # 24 for the sample's number
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_distinct)]
Counts = Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(_distinct)]


class Section(BaseModel):
    """Base of every section: frozen, no unknown key, no coercion of strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class KnownEntropyData(Section):
    """A seeded first-order Markov source whose entropy is known exactly."""

    kind: Literal["known_entropy"]
    vocab_size: Annotated[int, Field(ge=2)]
    length: PositiveInt
    concentration: PositiveFloat  # of the Dirichlet rows: small values make a sparse, predictable source
    train_sequences: PositiveInt
    validation_sequences: PositiveInt
    seed: Seed


class HubText(Section):
    """A text data set read through the `datasets` library."""

    path: str  # hub name, or a folder or file on this machine
    name: str | None = None
    split: str = "train"
    text_column: str = "text"


class TextData(Section):
    """Text: the embedded documentation of Python, own files, or a data set of the hub."""

    kind: Literal["text"]
    files: tuple[str, ...] = ()  # one document each; empty: the embedded text, unless `hub` is given
    hub: HubText | None = None
    tokenizer: str | None = None  # a tokenizers JSON file or a hub name; null trains byte-level BPE
    vocab_size: Annotated[int, Field(ge=257)]
    length: PositiveInt
    validation_fraction: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _one_source(self) -> TextData:
        if self.files and self.hub:
            raise ValueError("give either files or hub, not both")
        for file in (*self.files, *([self.tokenizer] if _is_path(self.tokenizer) else [])):
            if not Path(str(file)).is_file():
                raise ValueError(f"{'tokenizer' if file == self.tokenizer else 'files'}: no such file: {file}")
        return self


class ToyData(Section):
    """A 2-D density from a gray image on a vocab_size x vocab_size grid, on what stands out in it (data/toy.py)."""

    kind: Literal["toy"]
    image: str  # china.jpg or flower.jpg (scikit-learn's photographs), or a file
    vocab_size: Annotated[int, Field(ge=2)]
    contrast: PositiveFloat
    train_sequences: PositiveInt
    validation_sequences: PositiveInt
    seed: Seed
    length: Literal[2] = 2

    @model_validator(mode="after")
    def _image_exists(self) -> ToyData:
        if self.image not in ("china.jpg", "flower.jpg") and not Path(self.image).is_file():
            raise ValueError(f"image: no such file: {self.image}; allowed: china.jpg, flower.jpg or the path of a file")
        return self


class ImageData(Section):
    """What every set of images has: C channels, H = W = size; a pixel's channel is a token of V values."""

    dataset: Annotated[str, Field(min_length=1)]  # what tables call it
    channels: Literal[1, 3]
    size: Annotated[int, Field(ge=4)]
    vocab_size: Annotated[int, Field(ge=2, le=256)]
    augmentation: Literal["none", "flip", "shift"] = "none"  # of training images; shift loses no ink
    seed: Seed

    @property
    def length(self) -> int:
        """L = C * H * W, channels first."""
        return self.channels * self.size * self.size


class DigitsData(ImageData):
    """scikit-learn's 1,797 handwritten digits: 8x8 pixels of 17 gray levels."""

    kind: Literal["digits"]
    dataset: str = "digits"
    channels: Literal[1] = 1
    size: Literal[8] = 8
    vocab_size: Literal[17] = 17
    augmentation: Literal["none", "shift"] = "none"  # a mirrored digit is no digit
    test_fraction: Fraction


class PhotosData(ImageData):
    """Square crops of photographs; training and test crops come from different parts of each."""

    kind: Literal["photos"]
    dataset: str = "photos"
    channels: Literal[3] = 3
    vocab_size: Literal[256] = 256
    folder: str | None = None  # of images; null: scikit-learn's two photographs
    train_images: Annotated[int, Field(ge=2)]
    test_images: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _folder_exists(self) -> PhotosData:
        if self.folder is not None and not Path(self.folder).is_dir():
            raise ValueError(f"folder: no such folder: {self.folder}")
        return self


class HubImagesData(ImageData):
    """Images read through the `datasets` library, such as CIFAR-10 (uoft-cs/cifar10)."""

    kind: Literal["hub_images"]
    channels: Literal[3] = 3
    vocab_size: Literal[256] = 256
    path: str  # hub name, or a folder or parquet file on this machine
    name: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    image_column: str = "img"
    label_column: str = "label"


class ImageBatchesData(ImageData):
    """ImageNet's own downsampled images: train_data_batch_1, ... and val_data, dictionaries of arrays."""

    kind: Literal["image_batches"]
    channels: Literal[3] = 3
    vocab_size: Literal[256] = 256
    folder: str

    @model_validator(mode="after")
    def _folder_exists(self) -> ImageBatchesData:
        if not Path(self.folder).is_dir():
            raise ValueError(f"folder: no such folder: {self.folder}")
        return self


ImagesData = DigitsData | PhotosData | HubImagesData | ImageBatchesData
Data = Annotated[KnownEntropyData | TextData | ToyData | ImagesData, Field(discriminator="kind")]


class DiTNetwork(Section):
    """Diffusion transformer (models/dit.py)."""

    kind: Literal["dit"]
    width: PositiveInt
    blocks: PositiveInt
    heads: PositiveInt
    conditioning_width: PositiveInt
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    time_conditioning: bool  # the paper's text network ignores time


class MLPNetwork(Section):
    """Perceptron over the concatenated sub-token embeddings (models/mlp.py)."""

    kind: Literal["mlp"]
    width: PositiveInt
    blocks: PositiveInt
    time_conditioning: bool


class UNetNetwork(Section):
    """Convolutional network of the image experiments (models/unet.py); it ignores time."""

    kind: Literal["unet"]
    width: PositiveInt
    multipliers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]  # of the width, one a level
    blocks: PositiveInt  # residual blocks a level
    attention_at: tuple[PositiveInt, ...]  # levels, by their factor of downsampling
    head_width: PositiveInt
    norm_groups: PositiveInt
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    components: PositiveInt = 1  # MDM-Mixture: class-conditional predictions that are averaged

    @model_validator(mode="after")
    def _divisible(self) -> UNetNetwork:
        levels = {2**level: self.width * multiplier for level, multiplier in enumerate(self.multipliers)}
        for features in levels.values():
            if features % self.norm_groups:
                raise ValueError(
                    f"norm_groups: is {self.norm_groups}; should divide width x multiplier, here {features}"
                )
        for factor in self.attention_at:
            if factor not in levels:
                raise ValueError(f"attention_at: is {factor}; should be one of {', '.join(map(str, levels))}")
        for factor in (*self.attention_at, max(levels)):  # the middle, below the last level, has attention as well
            if levels[factor] % self.head_width:
                raise ValueError(
                    f"head_width: is {self.head_width}; should divide width x multiplier, here {levels[factor]}"
                )
        return self


Network = Annotated[DiTNetwork | MLPNetwork | UNetNetwork, Field(discriminator="kind")]


class Training(Section):
    """How one network is trained."""

    objective: Literal["joint_loss", "nelbo", "cross_entropy"]  # the last: the paper's for images
    schedule: Literal["linear", "polynomial", "cosine"]
    exponent: Annotated[float, Field(ge=1.0)] = 1.0  # of the polynomial schedule; below 1, w(1) is infinite
    t_min: Annotated[float, Field(ge=0.0, lt=1.0)]  # t is drawn from (t_min, 1]
    steps: PositiveInt
    batch_size: PositiveInt
    micro_batch_size: PositiveInt | None = None  # null: the whole batch in one pass
    learning_rate: PositiveFloat
    warmup_steps: NonNegativeInt
    decay: Literal["linear", "constant"]
    weight_decay: NonNegativeFloat
    betas: tuple[Fraction, Fraction]
    gradient_clip: PositiveFloat | None  # null: none
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]  # 0: the raw weights
    precision: Literal["auto", "float32", "bfloat16"]  # auto: bfloat16 where the GPU has it
    compile: bool
    log_every: PositiveInt
    checkpoint_every: PositiveInt

    @model_validator(mode="after")
    def _consistent(self) -> Training:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps: is {self.warmup_steps}; should be at most steps {self.steps}")
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size: is {self.micro_batch_size}; should divide batch_size {self.batch_size}"
            )
        if self.schedule != "polynomial" and self.exponent != 1.0:
            raise ValueError("exponent: belongs to the polynomial schedule")
        return self


class Evaluation(Section):
    """How many draws the likelihood is estimated with."""

    num_samples: Annotated[int, Field(ge=2)]  # draws of a held-out sequence and of what is masked in it
    batch_size: PositiveInt
    seed: Seed


class Sampling(Section):
    """How samples are drawn."""

    sampler: Literal["ancestral", "first_hitting"]
    num_samples: SampleCount
    num_steps: PositiveInt
    temperature: PositiveFloat
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
    prefix: str = ""  # text only: every sample starts with it
    batch_size: PositiveInt
    seed: SampleSeed


class Variant(Section):
    """One model of a task; `training` and `network` override single values of the task's."""

    model: Literal["masked", "autoregressive"] = "masked"
    num_subtokens: PositiveInt = 1
    carry_over: bool = True
    training: dict[str, Any] = {}
    network: dict[str, Any] = {}

    @model_validator(mode="after")
    def _autoregressive_has_whole_tokens(self) -> Variant:
        if self.model == "autoregressive" and self.num_subtokens != 1:
            raise ValueError(f"num_subtokens: is {self.num_subtokens}; should be 1 for an autoregressive model")
        return self


class Curve(Section):
    """The three numbers a, n, b of a schedule of the image sampler (euler.py)."""

    a: float
    n: float
    b: float


class ImageSampler(Section):
    """One way to draw images: the paper's Euler sampler, or an exact sampler of the plain reverse process."""

    kind: Literal["euler", "ancestral", "first_hitting"]
    num_steps: PositiveInt | None = None  # null for first_hitting, which has a step for every sub-token
    draws: Literal["marginals", "joint"] = "joint"  # a position's sub-tokens independently, or as one token
    temperature: Curve | None = None  # null: 1
    corrector: Curve | None = None
    time_steps: Curve | None = None  # null: uniform

    @model_validator(mode="after")
    def _fits_its_kind(self) -> ImageSampler:
        if (self.num_steps is None) != (self.kind == "first_hitting"):
            raise ValueError(f"num_steps: should be {'null' if self.num_steps else 'a number'} for {self.kind}")
        if self.kind != "euler":
            for key in ("temperature", "corrector", "time_steps"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: is for the euler sampler")
            if self.draws != "joint":
                raise ValueError("draws: should be joint for an exact sampler")
        return self

    @property
    def name(self) -> str:
        """Kind and number of steps."""
        return self.kind if self.num_steps is None else f"{self.kind}-{self.num_steps}"


class ImageSampling(Section):
    """How images are drawn, by each of several samplers."""

    num_samples: SampleCount
    batch_size: PositiveInt
    seed: SampleSeed
    samplers: Annotated[tuple[ImageSampler, ...], Field(min_length=1)]
    shown: PositiveInt  # images in the imputation and denoising figures

    @model_validator(mode="after")
    def _distinct_samplers(self) -> ImageSampling:
        if len(set(self.samplers)) != len(self.samplers):
            raise ValueError("samplers: one stands twice")
        return self


class ImageVariant(Variant):
    """A variant on images."""

    super_tokens: bool = False  # an RGB pixel as two base-4096 tokens: 2/3 of a sub-token per channel
    samplers: tuple[ImageSampler, ...] | None = None  # null: the task's


class Classifier(Section):
    """The small network whose features images are compared by where Inception's weights are not given."""

    width: PositiveInt
    num_features: PositiveInt
    steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: Seed


class Fidelity(Section):
    """How sets of images are compared (torch-fidelity)."""

    reference: Literal["train", "validation"] = "train"  # images that the samples are compared with
    inception_weights: str | None  # file of torch-fidelity's Inception weights; null: the classifier's features
    kid_subset_size: Annotated[int, Field(ge=2)]
    neighbours: PositiveInt  # of precision and recall
    batch_size: PositiveInt
    seed: Seed


class IdleSteps(Section):
    """Figure 1: the event process of the sampler, without a network."""

    length: PositiveInt
    num_subtokens: Counts
    num_steps: Counts
    num_sequences: Annotated[int, Field(ge=2, le=2**24)]
    seed: SampleSeed


class Oracle(Section):
    """Objectives at the true posterior: by enumeration up to max_states, else by Monte Carlo."""

    copies_of_one_bit: Counts
    max_states: PositiveInt
    num_samples: Annotated[int, Field(ge=2)]
    seed: Seed


class Compute(Section):
    """Where and how a stage computes."""

    device: Literal["auto", "cpu", "cuda"]
    threads: PositiveInt  # of each job; fixed, so that sums are added up in the same order


def _is_path(name: str | None) -> bool:
    return name is not None and name.endswith(".json")
