import pytest
import torch

from mdm_prime.core.noise import BatchNoise
from mdm_prime.data.augmentation import augment
from mdm_prime.data.images.digits import DigitsData
from mdm_prime.experiment.sections.image_data import ImageDataSection


def pictures(augmentation, channels=2, size=5):
    """A shape that no set of images has: every axis counts."""
    values = {"dataset": "x", "channels": 1, "size": size, "vocab_size": 17, "seed": 0, "augmentation": augmentation}
    return ImageDataSection(kind="x", **values).model_copy(update={"channels": channels})


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("augmentation", ["none", "flip", "shift"])
def test_augmentation_is_deterministic_and_keeps_the_input(augmentation):
    config = pictures(augmentation)
    x = torch.randint(0, 17, (40, 2, 3, 3), generator=generator())
    x = torch.nn.functional.pad(x, (1, 1, 1, 1)).flatten(1)  # room to move
    before = x.clone()
    found = [augment(x, config, BatchNoise(generator(seed), len(x))) for seed in (1, 1, 2)]
    assert torch.equal(x, before)
    assert (found[0].shape, found[0].dtype) == (x.shape, torch.int64)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], x) == (augmentation == "none")


def test_half_of_the_images_are_mirrored():
    config = pictures("flip")
    x = torch.arange(config.length).repeat(4000, 1)
    found = augment(x, config, BatchNoise(generator(), len(x)))
    mirrored = torch.arange(config.length).view(2, 5, 5).flip(2).flatten()
    is_mirrored = (found == mirrored).all(1)
    assert (is_mirrored | (found == x).all(1)).all()
    assert abs(is_mirrored.double().mean() - 0.5) < 5 * 0.5 / 4000**0.5


def shifted(image, down, right):
    """(C, H, W) moved one pixel at a time, the border blank."""
    found = torch.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                found[:, row, column] = image[:, row - down, column - right]
    return found


@pytest.mark.parametrize("blank", [(), ("top",), ("bottom", "left"), ("top", "bottom", "left", "right")])
def test_images_move_evenly_where_no_ink_is_lost(blank):
    """Each side of the image is inked or blank; ink in the last channel only counts as well."""
    config = pictures("shift")
    image = torch.zeros(2, 5, 5, dtype=torch.int64)
    image[1] = torch.arange(1, 26).view(5, 5)
    sides = {"top": (0, slice(None)), "bottom": (4, slice(None)), "left": (slice(None), 0), "right": (slice(None), 4)}
    for side in blank:
        image[(slice(None), *sides[side])] = 0
    number = 4500
    found = augment(image.flatten().repeat(number, 1), config, BatchNoise(generator(), number))
    # A step towards an inked side is not taken, so that its share stays where it is.
    down = {-1: "top" in blank, 0: True, 1: "bottom" in blank}
    right = {-1: "left" in blank, 0: True, 1: "right" in blank}
    total = 0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            expected = 1.0
            for step, allowed in ((dy, down), (dx, right)):
                stays = 1 + list(allowed.values()).count(False)
                expected *= (stays if step == 0 else allowed[step]) / 3
            count = int((found == shifted(image, dy, dx).flatten()).all(1).sum())
            assert abs(count - number * expected) <= 5 * (number * expected * (1 - expected)) ** 0.5
            total += count
    assert total == number


def test_shifts_keep_the_ink_of_every_image():
    config = DigitsData(kind="digits", heldout_fraction=0.25, seed=0, augmentation="shift")
    x = torch.randint(0, 17, (500, 64), generator=generator()) * (torch.rand(500, 64, generator=generator(1)) < 0.1)
    found = augment(x, config, BatchNoise(generator(2), len(x)))
    assert torch.equal(found.sort(1).values, x.sort(1).values)
    assert not torch.equal(found, x)
