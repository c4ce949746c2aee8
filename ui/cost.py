"""How large a model will be, before an engine is asked."""

from __future__ import annotations

from typing import Any, Optional


def convlstm_parameters(options: dict[str, Any], dynamic: int, static: int, leads: int) -> int:
    """Numbers that a ConvLSTM of the catalogue keeps, those of batch normalisation's statistics included.

    A layer with h channels, c inputs and kernel k has ``4 h ((c + h) k^2 + 1)``, three more per channel with peepholes.
    """
    hidden = options["hidden"]
    kernels = options["kernel"] * (len(hidden) if len(options["kernel"]) == 1 else 1)
    decodes = options["output"] == "encoder-decoder"
    inputs = dynamic * (2 if options["mask_channels"] else 1) + static
    stacks = [(inputs, len(hidden) - 1 if decodes else len(hidden))]
    if decodes:
        stacks.append((1 if options["decoder_input"] == "previous" else 0, len(hidden)))
    per_channel = {"none": 0, "batch": 4, "group": 2}[options["normalisation"]]
    total = 0
    for index, (first, norms) in enumerate(stacks):
        first += static if index else 0
        for layer, (size, kernel) in enumerate(zip(hidden, kernels)):
            came = hidden[layer - 1] if layer else first
            total += 4 * size * ((came + size) * kernel**2 + 1) + (3 * size if options["peepholes"] else 0)
        total += per_channel * sum(hidden[:norms])
    maps = 1 if decodes else leads
    return total + maps * (hidden[-1] * options["head_kernel"] ** 2 + 1)


def parameters(family: str, options: dict[str, Any], dynamic: int, static: int, leads: int) -> Optional[int]:
    """The number for a family whose formula is known, else None."""
    return convlstm_parameters(options, dynamic, static, leads) if family == "convlstm" else None
