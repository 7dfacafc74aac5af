"""A loss at each of many positions, without the logits of all of them at once.

At the paper's size (V = 50,257, a pass of 32 x 1,024 positions) the logits are 6.6 GB in float32, and a loss and its
gradient hold several tensors of that size. The losses of positions do not depend on each other's logits, so a chunk of
positions at a time is enough. For the gradient the logits of a chunk are computed again: one more product with the head
is the price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Both bound the memory and change values by rounding only.
KEPT_LOGITS = 2**25  # for whose gradient autograd keeps what it needs, two or three tensors of 128 MiB in float32
CHUNK_LOGITS = 2**23  # that are there at once where there are more: with the gradient about five of 32 MiB

Terms = Callable[[Tensor, slice], Tensor]  # logits (M, V) of the positions of a slice to (..., M)


class Group(NamedTuple):
    """Positions that need the logits of the same tokens.

    Attributes:
        terms: maps logits (M, V') of those of the group's positions that the slice names to (..., M) in nats, the same
            at every call: it may be called again for the gradient.
        at: (n,) int64, its positions among all N; None: all of them in their order.
        tokens: V' rows of the head.
    """

    terms: Terms
    at: Tensor | None = None
    tokens: slice | Tensor = slice(None)


def in_chunks(
    hidden: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: Sequence[Group],
    read: Tensor | None = None,
) -> Tensor:
    """What the terms of each group make of its logits, hidden @ weight.T + bias, for N positions.

    Up to KEPT_LOGITS logits autograd keeps what it needs; of more, only a chunk's are there at any time, forwards and
    backwards.

    Args:
        hidden: (N, D); or where weight is None the logits themselves, (N, V).
        weight: (V, D) of the head, or None.
        bias: (V,) of the head, or None.
        groups: each position is in one of them. Gradients reach hidden, weight, bias and read only.
        read: what terms read besides and has to be trained too, or None.

    Returns:
        (..., N), in the dtype that terms give. The head computes in the dtype of autocast where that is on.

    Raises:
        ValueError: groups without a head.
        RuntimeError: from torch, where a second derivative is asked for of several groups or more than KEPT_LOGITS.
    """
    if weight is None and groups[0].at is not None:
        raise ValueError("several groups need a head")
    vocab_size = hidden.shape[-1] if weight is None else len(weight)
    if groups[0].at is None and len(hidden) * vocab_size <= KEPT_LOGITS:  # then it is the only one
        return groups[0].terms(_logits(hidden, weight, bias), slice(0, len(hidden)))
    found: Tensor = _InChunks.apply(hidden, weight, bias, read, groups, torch.is_grad_enabled())
    return found


class _Chunk(NamedTuple):
    """Some of a group's positions."""

    at: slice | Tensor  # among all N
    tokens: slice | Tensor
    terms: Callable[[Tensor], Tensor]


class _InChunks(Function):
    """The arguments of in_chunks, and whether a gradient is recorded, to its result: groups, or more than one chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        read: Tensor | None,
        groups: Sequence[Group],
        recorded: bool,
    ) -> Tensor:
        vocab_size = hidden.shape[-1] if weight is None else len(weight)
        ctx.save_for_backward(hidden, weight, bias, read)
        ctx.dtype = hidden.dtype if weight is None else _product_dtype(hidden)
        ctx.chunks = [chunk for group in groups for chunk in _chunks_of(group, len(hidden), vocab_size)]
        few = sum(_positions(group, len(hidden)) * _tokens(group, vocab_size) for group in groups) <= KEPT_LOGITS
        keeps = few and recorded and any(ctx.needs_input_grad)
        weight, bias = _cast(weight, ctx.dtype), _cast(bias, ctx.dtype)  # once, as autocast would for every chunk
        ctx.kept, values = dict[int, tuple[Tensor, Tensor]](), list[Tensor]()
        with torch.autocast(hidden.device.type, enabled=False), torch.set_grad_enabled(keeps):
            for number, chunk in enumerate(ctx.chunks):
                logits = _logits(hidden[chunk.at].to(ctx.dtype), *_head(weight, bias, chunk.tokens)).detach()
                found = chunk.terms(logits.requires_grad_(keeps))
                values.append(found.detach())
                if keeps:
                    ctx.kept[number] = logits, found
        result = values[0].new_empty(*values[0].shape[:-1], len(hidden))
        for chunk, value in zip(ctx.chunks, values, strict=True):
            result[..., chunk.at] = value
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of hidden, weight, bias and read from that of the result, (..., N)."""
        hidden, weight, bias, read = saved = ctx.saved_tensors
        for_hidden, for_weight, for_bias, for_read = (
            torch.zeros_like(tensor) if wanted else None
            for tensor, wanted in zip(saved, ctx.needs_input_grad[:4], strict=True)
        )
        weight, bias = _cast(weight, ctx.dtype), _cast(bias, ctx.dtype)
        with torch.autocast(hidden.device.type, enabled=False):
            for number, chunk in enumerate(ctx.chunks):
                states, head = hidden[chunk.at].to(ctx.dtype), _head(weight, bias, chunk.tokens)
                logits, found = ctx.kept.pop(number, (None, None))
                if logits is None:
                    logits = _logits(states, *head).detach().requires_grad_()
                    with torch.enable_grad():
                        found = chunk.terms(logits)
                slope, *of_read = torch.autograd.grad(
                    found, [logits] if for_read is None else [logits, read], gradient[..., chunk.at]
                )
                if for_hidden is not None:
                    for_hidden[chunk.at] = (slope if head[0] is None else slope @ head[0]).to(for_hidden.dtype)
                if for_weight is not None:
                    _add_product(for_weight, chunk.tokens, slope.T, states)
                if for_bias is not None:
                    _add(for_bias, chunk.tokens, slope.sum(0))
                if for_read is not None:
                    for_read.add_(*of_read)
        return for_hidden, for_weight, for_bias, for_read, None, None


def _chunks_of(group: Group, num_positions: int, vocab_size: int) -> Iterator[_Chunk]:
    count, size = _positions(group, num_positions), max(1, CHUNK_LOGITS // _tokens(group, vocab_size))
    for start in range(0, count, size):
        part = slice(start, min(start + size, count))
        at = part if group.at is None else group.at[part]
        yield _Chunk(at, group.tokens, partial(_of_part, group.terms, part))


def _of_part(terms: Terms, part: slice, logits: Tensor) -> Tensor:
    return terms(logits, part)


def _positions(group: Group, num_positions: int) -> int:
    return num_positions if group.at is None else len(group.at)


def _tokens(group: Group, vocab_size: int) -> int:
    return len(range(vocab_size)[group.tokens]) if isinstance(group.tokens, slice) else len(group.tokens)


def _head(weight: Tensor | None, bias: Tensor | None, tokens: slice | Tensor) -> tuple[Tensor | None, Tensor | None]:
    return None if weight is None else weight[tokens], None if bias is None else bias[tokens]


def _logits(hidden: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    return hidden if weight is None else F.linear(hidden, weight, bias)


def _cast(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if tensor is None else tensor.to(dtype)


def _add(total: Tensor, at: slice | Tensor, part: Tensor) -> None:
    """Adds part to the rows `at` of total in its dtype, as over micro-batches; no row is there twice."""
    if isinstance(at, slice):
        total[at].add_(part)
    else:
        total.index_add_(0, at, part.to(total.dtype))


def _add_product(total: Tensor, at: slice | Tensor, left: Tensor, right: Tensor) -> None:
    """Adds left @ right to the rows `at` of total: in place where they have its dtype."""
    if isinstance(at, slice) and total.dtype == left.dtype:
        rows = total[at]
        torch.addmm(rows, left, right, out=rows)  # as addmm_, which torch's counter of operations does not know
    else:
        _add(total, at, left @ right)


def _product_dtype(hidden: Tensor) -> torch.dtype:
    """What a product of hidden states (N, D) is computed in: autocast leaves float64 alone."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device) and hidden.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return hidden.dtype
