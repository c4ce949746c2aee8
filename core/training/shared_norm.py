"""Batch normalisation over a batch that several processes share."""

from __future__ import annotations

from typing import Any, Optional

import torch
import torch.distributed as dist
from torch import nn
from torch.autograd.function import once_differentiable


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance are those of the batch of all processes, on any device.

    torch's own ``SyncBatchNorm`` works on GPUs alone, and cannot leave out a window that counts for nothing
    (``counts``).
    """

    counts = True
    group: Optional[dist.ProcessGroup] = None

    @classmethod
    def of(cls, norm: nn.BatchNorm2d, group: Optional[dist.ProcessGroup]) -> SharedBatchNorm:
        """One with the parameters and statistics of ``norm``, shared with it."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        made.group = group
        for name in ("weight", "bias"):
            setattr(made, name, getattr(norm, name))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(made, name, getattr(norm, name))
        return made.train(norm.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x (N, C, H, W) over all but C."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        share = float(self.counts)
        result, mean, variance, total = _Normalised.apply(values, self.weight, self.bias, self.eps, share, self.group)
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                step = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, step)
                self.running_var.lerp_(variance * (total / (total - 1.0).clamp(min=1.0)), step)
        return result.to(x.dtype)


class _Normalised(torch.autograd.Function):
    """x (N, C, H, W) normalised over N, H, W of all processes: one message forward, one backward.

    With z = (x - mean) / sqrt(variance + eps) and n values a channel the gradient is
    weight / sqrt(variance + eps) * (g - sum(g) / n - z * sum(g z) / n), the sums over all processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: Optional[torch.Tensor], bias: Optional[torch.Tensor], eps: float,
        share: float, group: Optional[dist.ProcessGroup],
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        """The result, and mean (C,), variance (C,) and count () of all; ``share`` 0 where the own part counts not."""
        found = [values.double() for values in torch.batch_norm_update_stats(x, None, None, 0.0)]
        count = share * x[:, 0].numel()
        # Second moments in double precision, so that nothing is lost where the mean is large.
        sums = torch.cat([x.new_full((1,), count, dtype=torch.float64), count * found[0],
                          count * (found[1] + found[0].square())])  # fmt: skip
        dist.all_reduce(sums, group=group)
        total = sums[0]
        means, squares = (sums[1:] / total).chunk(2)
        mean, variance = means.to(x.dtype), (squares - means.square()).clamp(min=0.0).to(x.dtype)
        ctx.save_for_backward(x, weight, mean, variance, total)
        ctx.eps, ctx.share, ctx.group = eps, share, group
        ctx.mark_non_differentiable(mean, variance, total)
        return torch.batch_norm(x, weight, bias, mean, variance, False, 0.0, eps, False), mean, variance, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor, *_: torch.Tensor) -> tuple[Optional[torch.Tensor], ...]:
        """Gradients for the own x, and the own parts of those for weight and bias."""
        x, weight, mean, variance, total = ctx.saved_tensors
        ones = torch.ones_like(mean)
        _, product, summed = torch.ops.aten.native_batch_norm_backward(
            gradient, x, ones, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        sums = torch.stack([summed, product]).double()
        dist.all_reduce(sums, group=ctx.group)
        shift, slope = (ctx.share * sums / total).to(x.dtype)
        over = (variance + ctx.eps).rsqrt()
        scale = over if weight is None else over * weight
        onto_x = -scale * over * slope
        constant = -scale * shift - onto_x * mean
        to_x = torch.addcmul(_wide(constant), x, _wide(onto_x)).addcmul_(gradient, _wide(scale))
        return to_x, None if weight is None else product, None if weight is None else summed, None, None, None


def _wide(values: torch.Tensor) -> torch.Tensor:
    """(C,) as (C, 1, 1)."""
    return values[:, None, None]
