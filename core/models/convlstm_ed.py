"""ConvLSTM encoder-decoder with inputs that are known ahead and scheduled sampling."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from .convlstm import ConvLSTM


class ConvLSTMEncoderDecoder(ConvLSTM):
    r"""As many decoder layers as encoder layers go on from the encoder's final states, one step a lead.

    .. math:: S^0 = \mathrm{encode}(X_1 \ldots X_T), \quad S^l = \mathrm{step}([\tilde y^{l-1}, A^l, s], S^{l-1}),
        \quad y^l = W * S^l + b

    with the inputs known ahead A of that lead and the static maps s (Shi et al. 2015, doi:10.48550/arXiv.1506.04214,
    in which the decoder reads nothing: ``decoder_input`` none). :math:`\tilde y^{l-1}` is the model's own prediction
    of the lead before, zero at the first. In training, with scheduled sampling (Bengio et al. 2015,
    doi:10.48550/arXiv.1506.03099), it is the truth at a share ``sampling`` of leads, drawn for each sample and lead;
    cells whose truth is missing keep the prediction. The draw comes from torch's own generator, and none is made
    without truth, so that a prediction is the same each time.

    Encoder, cells and options are those of :class:`ConvLSTM`. Every lead is predicted from the last step: one
    supervised step. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    name = "convlstm-ed"
    uses_truth = True

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.uses_ahead = self.ahead_channels > 0
        self.uses_truth = self.feeds_back

    def _feeds_back(self) -> bool:
        """At a single lead there is no prediction before it, and its weights would never learn."""
        return super()._feeds_back() and self.leads > 1

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
        ahead: Optional[Tensor] = None,
        truth: Optional[Tensor] = None,
        sampling: float = 0.0,
    ) -> dict[str, Tensor]:
        """Predict; see :mod:`core.models.base`. ``truth`` is read in training only."""
        self.check_input(x, static, observed, last_steps)
        self.check_leads(x, ahead, truth)
        fixed = self._fixed(x, static)
        states = self._encode(self._frames(x, observed), fixed, 0, warm_up)[1]
        known = ahead.to(x.dtype).permute(1, 0, 3, 4, 2) if self.uses_ahead else None
        told = truth.permute(1, 0, 3, 4, 2) if truth is not None and self.training and sampling > 0.0 else None

        def read(lead: int, previous: Tensor) -> Tensor:
            parts = []
            if self.feeds_back:
                at = told is not None and lead > 0
                parts.append(_sampled(previous, told[lead - 1], sampling) if at else previous)
            if known is not None:
                parts.append(known[lead].to(previous.dtype))
            return torch.cat(parts, dim=-1) if parts else previous

        return {"y_hat": self._decode(states, fixed, read)}


def _sampled(previous: Tensor, truth: Tensor, sampling: float) -> Tensor:
    """``truth`` (B, H, W, K) in place of ``previous`` in a share of the samples, where it is not NaN."""
    chosen = torch.rand((len(previous), 1, 1, 1), device=previous.device) < sampling
    return torch.where(chosen & torch.isfinite(truth), truth.to(previous.dtype), previous)
