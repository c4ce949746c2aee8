"""The methods of attribution behind one interface; :mod:`.base` says what a method takes and gives.

captum computes wherever it has the method; its import takes a second, so it happens when a method runs.
"""

from __future__ import annotations

from ...contracts.explain_checks import check_explainable
from ...contracts.explain_methods import METHOD_WORDS
from ...contracts.model_card import ModelCard
from . import grad_cam, gradients, masks, occlusion, path, shapley
from .base import Method, Problem, Settings, Step, Work, finite

_WORK = {
    "integrated-gradients": (path.integrate, path.passes),
    "gradient": (gradients.gradient, gradients.gradient_passes),
    "smoothgrad": (gradients.smoothgrad, gradients.sampled_passes),
    "expected-gradients": (gradients.expected, gradients.expected_passes),
    "grad-cam": (grad_cam.grad_cam, grad_cam.passes),
    "occlusion-space": (occlusion.in_space, occlusion.passes_in_space),
    "occlusion-time": (occlusion.in_time, occlusion.passes_in_time),
    "gaussian": (masks.gaussian, masks.passes),
    "rise": (masks.rise, masks.passes),
    "shapley": (shapley.sampled, shapley.passes),
}
METHODS: dict[str, Method] = {
    name: Method(
        name, known.label, known.words, known.assumes, *_WORK[name], gradients=known.gradients,
        complete=known.complete, variables=known.variables, steps=known.steps, cells=known.cells,
    )
    for name, known in METHOD_WORDS.items()
}  # fmt: skip


def method_for(name: str, card: ModelCard) -> Method:
    """The method called ``name``; :class:`ModelFileError` where it needs gradients and the model has none."""
    check_explainable(card, name, at_gauge=True)  # whether the place fits is for the place to say
    return METHODS[name]


__all__ = ["METHODS", "Method", "Problem", "Settings", "Step", "Work", "finite", "method_for"]
