"""The methods of attribution behind one interface; :mod:`.base` says what a method takes and gives.

captum computes wherever it has the method; its import takes a second, so it happens when a method runs.
"""

from __future__ import annotations

from ...contracts.errors import ModelFileError
from ...contracts.model_card import ModelCard
from ...contracts.models import family
from . import grad_cam, gradients, masks, occlusion, path, shapley
from .base import Method, Problem, Settings, Step, Work, finite

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("integrated-gradients", "Integrated gradients", "integrated gradients",
               "The straight path between baseline and input stands for how the prediction came about.",
               path.integrate, path.passes, complete=True),
        Method("gradient", "Gradient x input", "the gradient times input less baseline",
               "The model is taken as its tangent at this input; thresholds and saturation are not seen.",
               gradients.gradient, gradients.gradient_passes),
        Method("smoothgrad", "SmoothGrad", "the gradient averaged over noise",
               "The model is taken as its mean tangent around this input.",
               gradients.smoothgrad, gradients.sampled_passes),
        Method("expected-gradients", "Expected gradients", "gradients on paths from windows of the training period",
               "Windows of the training period, each as likely as the other, stand for what would have been else.",
               gradients.expected, gradients.expected_passes, complete=True),
        Method("grad-cam", "Grad-CAM", "Grad-CAM",
               "Where the states of a layer are active and count on the mean of the map; variables are not told apart.",
               grad_cam.grad_cam, grad_cam.passes, variables=False),
        Method("occlusion-space", "Occlusion in space", "occlusion of blocks of cells",
               "One block of one variable is taken away at a time; what several do together is not seen.",
               occlusion.in_space, occlusion.passes_in_space, gradients=False, steps=False),
        Method("occlusion-time", "Occlusion in time", "occlusion of steps",
               "One stretch of one variable is taken away at a time; what several do together is not seen.",
               occlusion.in_time, occlusion.passes_in_time, gradients=False, cells=False),
        Method("gaussian", "Gaussian perturbation", "Gaussian perturbation",
               "All variables and steps around a place are weakened together.",
               masks.gaussian, masks.passes, gradients=False, variables=False, steps=False),
        Method("rise", "RISE", "random masks (RISE)",
               "Half of the map is taken away at random, all variables and steps together.",
               masks.rise, masks.passes, gradients=False, variables=False, steps=False),
        Method("shapley", "Shapley values", "Shapley values of variables",
               "Variables come in in every order, also in such as weather does not know.",
               shapley.sampled, shapley.passes, gradients=False, complete=True, steps=False, cells=False),
    )
}  # fmt: skip


def method_for(name: str, card: ModelCard) -> Method:
    """The method called ``name``; :class:`ModelFileError` where it needs gradients and the model has none."""
    method = METHODS[name]
    if method.gradients and not family(card.family).differentiable:
        others = [other.name for other in METHODS.values() if not other.gradients]
        raise ModelFileError(
            f"A model of the family '{card.family}' cannot be explained by {method.words}: it has no gradients",
            expected=f"a model with gradients, or one of the methods that need none: {', '.join(others)}",
            remedy="Choose occlusion-space or occlusion-time, or ask for the permutation importance of the model",
        )
    return method


__all__ = ["METHODS", "Method", "Problem", "Settings", "Step", "Work", "finite", "method_for"]
