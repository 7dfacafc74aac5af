import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_training import CPU, LOSS, MUON, TOKENS, network, settings, train

from mdm_prime.errors import UserError
from mdm_prime.training import checkpoint, loop


@pytest.fixture
def state(tmp_path):
    return tmp_path / "run" / "state.safetensors"


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class StopAfter:
    """True when asked for the num-th time."""

    def __init__(self, num):
        self.left = num

    def __call__(self):
        self.left -= 1
        return self.left == 0


@pytest.mark.parametrize("optimizer", [{}, MUON], ids=["adamw", "muon"])
def test_training_lowers_the_loss(state, optimizer):
    tokens = np.repeat(TOKENS[:2], 20, axis=0)  # two sequences: easy
    _, history, _ = train(state, tokens=tokens, steps=200, log_every=50, batch_size=16, **optimizer)
    assert history[-1].loss < 0.7 * history[0].loss


def test_history_has_a_row_every_log_every_steps_and_at_the_end(state):
    rows = []
    _, history = loop.train(
        network(),
        TOKENS,
        LOSS,
        settings(steps=10),
        seed=0,
        digest="a",
        state_file=state,
        device=CPU,
        report=rows.append,
    )
    assert rows == history
    assert [row.step for row in history] == [4, 8, 10]
    assert [row.train_tokens for row in history] == [4 * 8 * 3, 8 * 8 * 3, 10 * 8 * 3]
    assert all(np.isfinite(row).all() for row in map(np.array, history))


def test_history_is_the_mean_over_the_steps_since_the_last_row_in_nats_per_token(state):
    _, every, _ = train(state, steps=10, log_every=1)
    _, some, _ = train(state.with_name("b"), steps=10, log_every=4)
    for row, steps in zip(some, ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9]), strict=True):
        assert row.loss == pytest.approx(np.mean([every[i].loss for i in steps]), rel=1e-9)
        assert row.gradient_norm == pytest.approx(np.mean([every[i].gradient_norm for i in steps]), rel=1e-9)
    # a fresh network gives every token the same probability: the expected loss of the first step is known to a few %
    assert 0.3 * np.log(5) < every[0].loss < 2 * np.log(5)


def test_first_step_by_hand(state):
    """One step of AdamW on the mean loss per token, with the masks of that step; then the average."""
    average, history, trained = train(state, steps=1, warmup_steps=0, gradient_clip=1e9, ema_decay=0.0)
    model = network()
    noise, _ = loop.step_noise(0, 1, 8, range(8), CPU)
    x = torch.from_numpy(TOKENS[loop.batch_rows(1, 8, 50, 0, range(8))].astype(np.int64))
    t = loop.stratified_times(8, 0.001, noise.generator)
    mean = LOSS(model, x, t, noise).mean() / 3
    mean.backward()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.01)
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    optimizer.step()
    assert history[0].loss == pytest.approx(mean.item(), rel=1e-6)
    assert history[0].gradient_norm == pytest.approx(float(norm), rel=1e-5)
    assert history[0].learning_rate == 0.01
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(trained.get_parameter(name), parameter)
        assert torch.equal(average[name], trained.get_parameter(name))


def test_gradient_is_clipped(state):
    taken = []

    def recording(denoiser, x, t, generator):
        return 1000 * LOSS(denoiser, x, t, generator)

    model = network()
    original = torch.optim.AdamW.step

    def step(self, *arguments, **options):
        taken.append(float(torch.cat([p.grad.flatten() for p in model.parameters()]).norm()))
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        _, history, _ = train(state, model=model, loss=recording, steps=3, log_every=1, gradient_clip=0.5)
    assert taken == pytest.approx([0.5] * 3, rel=1e-4)
    assert all(row.gradient_norm > 1 for row in history)  # reported as it was


@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_micro_batches_give_the_gradient_of_the_whole_batch(state, micro_batch_size):
    whole = train(state, steps=6, log_every=1)
    parts = train(state.with_name("b"), steps=6, log_every=1, micro_batch_size=micro_batch_size)
    for a, b in zip(whole[1], parts[1], strict=True):
        assert b == pytest.approx(a, rel=1e-4)
    for name in whole[0]:
        torch.testing.assert_close(whole[0][name], parts[0][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", [{}, MUON], ids=["adamw", "muon"])
@pytest.mark.parametrize("stop_after", [1, 4, 5, 7, 11])
def test_interrupted_training_ends_with_the_same_bits(state, stop_after, optimizer):
    average, history, _ = train(state.with_name("whole"), dropout=0.1, **optimizer)
    with pytest.raises(loop.TrainingInterruptedError, match=f"after step {stop_after} of 12"):
        train(state, dropout=0.1, stop=StopAfter(stop_after), **optimizer)
    assert checkpoint.load(state)[1]["step"] == stop_after
    torch.manual_seed(123)  # whatever happened in between
    resumed, resumed_history, _ = train(state, dropout=0.1, model=network(0.1).requires_grad_(), **optimizer)
    assert same(average, resumed)
    assert history == resumed_history


def test_training_goes_on_from_the_last_checkpoint_after_a_crash(state):
    average, history, _ = train(state.with_name("whole"), dropout=0.1)

    class CrashError(Exception):
        pass

    calls = []

    def crashing(*arguments):
        calls.append(1)
        if len(calls) == 9:
            raise CrashError
        return LOSS(*arguments)

    with pytest.raises(CrashError):
        train(state, dropout=0.1, loss=crashing)
    assert checkpoint.load(state)[1]["step"] == 5
    resumed, resumed_history, _ = train(state, dropout=0.1)
    assert same(average, resumed)
    assert history == resumed_history


def test_a_finished_state_gives_the_result_without_a_step(state):
    average, history, _ = train(state)

    def never(*arguments):
        raise AssertionError("trained again")

    again, again_history, _ = train(state, loss=never)
    assert same(average, again)
    assert history == again_history


def test_a_stop_asked_for_in_the_last_step_is_not_needed(state):
    assert len(train(state, stop=StopAfter(12))[1]) == 3


def test_a_state_of_another_run_is_not_used(state):
    average, history, _ = train(state.with_name("whole"), digest="b")
    train(state, digest="a", seed=7)
    other, other_history, _ = train(state, digest="b")
    assert same(average, other)
    assert history == other_history
    assert checkpoint.load(state)[1]["digest"] == "b"


def test_seed_changes_the_result(state):
    assert not same(train(state, seed=0)[0], train(state.with_name("b"), seed=1)[0])


def nan_at(call):
    calls = []

    def loss(*arguments):
        calls.append(1)
        return LOSS(*arguments) * (torch.nan if len(calls) == call else 1.0)

    return loss


@pytest.mark.parametrize(("call", "kept"), [(3, None), (5, None), (6, 5), (8, 5), (12, 10)])
def test_a_loss_that_is_not_a_number_stops_training_and_keeps_the_last_good_state(state, call, kept):
    expected = f"the last good state, step {kept}, is kept" if kept else "no state was saved yet"
    with pytest.raises(UserError, match=f"not finite; {expected}") as raised:
        train(state, loss=nan_at(call))
    assert "\n" not in str(raised.value)
    assert state.exists() == bool(kept)
    if kept:
        tensors, metadata = checkpoint.load(state)
        assert metadata["step"] == kept
        assert all(tensor.isfinite().all() for tensor in tensors.values())
        assert same(train(state)[0], train(state.with_name("whole"))[0])  # goes on from there


def test_the_state_of_another_run_is_not_called_good(state):
    train(state, digest="a")
    with pytest.raises(UserError, match="no state was saved yet"):
        train(state, digest="b", loss=nan_at(3))


def test_weights_that_overflow_are_never_saved(state, monkeypatch):
    """The step that makes them infinite still has a finite loss and gradient."""
    model, steps, original = network(), [], torch.optim.AdamW.step

    def step(self, *arguments, **options):
        original(self, *arguments, **options)
        steps.append(1)
        if len(steps) == 3:
            model.head.bias.data[0] = torch.inf

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(UserError, match=r"step 3: .*a weight is not finite; the last good state, step 2, is kept"):
        train(state, model=model, checkpoint_every=1, log_every=100)
    assert all(tensor.isfinite().all() for tensor in load_file(state).values())


def test_a_huge_learning_rate_is_a_clear_error(state):
    with pytest.raises(UserError, match=r"lower training\.learning_rate"):
        train(state, learning_rate=1e30, warmup_steps=0)


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "no metadata"])
def test_a_damaged_state_file_is_a_clear_error(state, damage):
    train(state)
    content = state.read_bytes()
    if damage == "garbage":
        state.write_bytes(b"\x07" * 5000)
    elif damage == "truncated":
        state.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        state.write_bytes(b"")
    else:
        save_file({"x": torch.zeros(1)}, state)
    with pytest.raises(UserError, match=r"state\.safetensors: not a checkpoint.*delete it") as raised:
        train(state)
    assert "\n" not in str(raised.value)


def test_every_sequence_comes_once_an_epoch():
    rows = np.concatenate([loop.batch_rows(step, 8, 50, 3, range(8)) for step in range(1, 76)])
    epochs = rows.reshape(12, 50)
    for epoch in epochs:
        assert sorted(epoch) == list(range(50))
    assert len({tuple(epoch) for epoch in epochs}) == 12
    assert not np.array_equal(epochs[0], loop.batch_rows(1, 50, 50, 4, range(50)))


def test_a_batch_larger_than_the_data_goes_round():
    rows = loop.batch_rows(2, 25, 10, 0, range(25))
    assert np.bincount(rows, minlength=10).sum() == 25
    assert np.bincount(rows).min() >= 2


def test_random_numbers_of_a_step_are_those_of_its_examples():
    noise, keys = loop.step_noise(5, 9, 8, range(8), CPU)
    whole = noise.uniform(3, 2)
    for own in (range(3), range(3, 8), range(1, 8, 3)):
        part, part_keys = loop.step_noise(5, 9, 8, own, CPU)
        assert torch.equal(part.uniform(3, 2), whole[[*own]])
        assert torch.equal(part_keys, keys[[*own]])
    assert len({*keys.tolist()}) == 8
    other, other_keys = loop.step_noise(5, 10, 8, range(8), CPU)
    assert not torch.equal(other.uniform(3, 2), whole)
    assert not torch.equal(other_keys, keys)


def test_bfloat16_on_a_cpu(state):
    seen = []

    def loss(denoiser, x, t, generator):
        def spy(y, t, where):
            logits = denoiser(y, t, where)
            seen.append(logits.dtype)
            return logits

        return LOSS(spy, x, t, generator)

    average, history, model = train(state, precision="bfloat16", loss=loss)
    assert set(seen) == {torch.bfloat16}
    assert all(np.isfinite(row.loss) for row in history)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert all(value.isfinite().all() for value in average.values())


def test_auto_is_float32_on_a_cpu(state):
    assert same(train(state, precision="auto")[0], train(state.with_name("b"), precision="float32")[0])


def test_a_batch_is_prepared_with_the_random_numbers_of_its_step(tmp_path):
    seen = []

    def prepare(x, noise):
        seen.append(float(noise.uniform()[0]))
        return x[:, :2]

    def loss(network, x, t, noise):
        assert x.shape == (8, 2)
        return LOSS(network, x, t, noise)

    histories = [train(tmp_path / f"{i}.safetensors", loss=loss, prepare=prepare)[1] for i in range(2)]
    assert histories[0] == histories[1]
    assert histories[0][-1].train_tokens == 12 * 8 * 2
    assert seen[:12] == seen[12:]
    assert len(set(seen)) == 12


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # of the compiler
def test_a_compiled_network_learns_the_same(tmp_path):
    """By Inductor, as on a GPU; `auto` compiles nothing on a CPU."""
    histories = [
        train(tmp_path / f"{c}.safetensors", compile=c, dropout=0.1, log_every=1)[1] for c in (False, "auto", True)
    ]
    assert histories[1] == histories[0]
    for row, compiled in zip(histories[0], histories[2], strict=True):
        assert compiled == pytest.approx(row, rel=1e-5)


def test_no_gradient_clip(tmp_path):
    small, none = (train(tmp_path / f"{c}.safetensors", gradient_clip=c)[1] for c in (1e-3, None))
    assert small[0].gradient_norm > 1e-3  # what is recorded is the norm before it is clipped
    assert small[-1].loss != none[-1].loss
