"""Random numbers of an example do not depend on who draws them and with which other examples."""

import pytest
import torch

from mdm_prime.core.noise import BatchNoise, ExampleNoise


def generator():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("own", [range(6), range(2), range(2, 5), range(5, 6), range(1, 6, 2), range(2, 8, 3)])
def test_a_part_of_a_batch_has_the_numbers_of_the_whole(own):
    whole, part = BatchNoise(generator(), 6), BatchNoise(generator(), 6, own)
    for shape in ((2, 3), (), (4,)):
        numbers = part.uniform(*shape)
        assert torch.equal(numbers, whole.uniform(*shape)[[*own]])
        assert numbers.is_contiguous()  # whoever uses them may view them
    assert part.uniform(2, dtype=torch.float64).dtype == torch.float64


def test_passes_begin_where_the_batch_stands():
    batch, whole = BatchNoise(generator(), 6), BatchNoise(generator(), 6)
    for noise in (batch, whole):
        noise.uniform(2)
    passes = [batch.part(range(4)), batch.part(range(4, 6))]
    found = [torch.cat([part.uniform(3) for part in passes]) for _ in range(2)]
    assert torch.equal(found[0], whole.uniform(3))
    assert torch.equal(found[1], whole.uniform(3))


def test_examples_with_generators_of_their_own():
    cpu = torch.device("cpu")
    whole = ExampleNoise([5, 2**64 - 1, 7], cpu)
    alone = ExampleNoise([7], cpu)
    first = whole.uniform(2, 3, dtype=torch.float64)
    assert first.shape == (3, 2, 3)
    assert torch.equal(alone.uniform(2, 3, dtype=torch.float64), first[2:])
    second = whole.uniform(4)
    assert torch.equal(alone.uniform(4), second[2:])
    assert len(set(first[:, 0, 0].tolist())) == 3
