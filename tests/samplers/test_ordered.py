"""Samples of an order have the distribution that its exact likelihood says."""

import pytest
import torch
from pydantic import TypeAdapter
from test_sampling_distributions import frequencies

from enumeration import all_sequences, chi_square, random_denoiser
from mdm_prime.core import schedules
from mdm_prime.core.orders import ORDERS
from mdm_prime.core.revealing import sequence_log_prob
from mdm_prime.core.samples import SamplerInput
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.experiment.sections.samplers import Samplers

NUM = 5000
LINEAR = schedules.linear()


def draw(denoiser, subtokenizer, order, indices=range(NUM), given=(), carry_over=True, **settings):
    (sampler,) = TypeAdapter(Samplers).validate_python([{"kind": "ordered", "order": order, **settings}])
    y = torch.full((len(indices), 2, subtokenizer.num_subtokens), subtokenizer.mask_id)
    if given:
        y[:, 0] = torch.tensor(given)
    fixed = y != subtokenizer.mask_id
    return sampler.draw(SamplerInput(denoiser, y, fixed, 0, indices, LINEAR, subtokenizer, carry_over))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize(("vocab_size", "ell"), [(7, 2), (5, 3)])
def test_samples_have_the_probabilities_of_the_evaluation(vocab_size, ell, order, carry_over):
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = random_denoiser(subtokenizer, 2, seed=1)
    x = all_sequences(vocab_size, 2)
    log_probs = sequence_log_prob(denoiser, x, ORDERS[order], subtokenizer, LINEAR, carry_over=carry_over)
    samples = draw(denoiser, subtokenizer, order, carry_over=carry_over)
    assert chi_square(frequencies(samples.x, vocab_size), log_probs.exp()) > 0.001
    assert set(samples.nfe.tolist()) == {2 if ORDERS[order].whole_tokens else 2 * ell}


@pytest.mark.parametrize("order", ["left_to_right", "lowest_entropy"])
def test_samples_do_not_depend_on_the_batch_and_keep_what_is_given(order):
    subtokenizer = Subtokenizer(7, 2)
    denoiser = random_denoiser(subtokenizer, 2, seed=2)
    whole = draw(denoiser, subtokenizer, order, range(30), given=(2, 0))  # 6, the last token
    assert (whole.x[:, 0] == 6).all()
    assert set(whole.nfe.tolist()) == {2}
    for i in range(30):
        assert torch.equal(draw(denoiser, subtokenizer, order, range(i, i + 1), given=(2, 0)).x[0], whole.x[i])


def test_a_low_temperature_leaves_one_sample():
    subtokenizer = Subtokenizer(7, 2)
    cold = draw(random_denoiser(subtokenizer, 2), subtokenizer, "random", range(50), temperature=1e-6)
    assert len(cold.x.unique(dim=0)) == 1


def test_orders_have_names_of_their_own():
    both = [{"kind": "ordered", "order": "random"}, {"kind": "ordered", "order": "left_to_right"}]
    samplers = TypeAdapter(Samplers).validate_python(both)
    assert [sampler.name for sampler in samplers] == ["ordered-random", "ordered-left_to_right"]
    with pytest.raises(ValueError, match="should be one of left_to_right, lowest_entropy"):
        TypeAdapter(Samplers).validate_python([{"kind": "ordered", "order": "right_to_left"}])
