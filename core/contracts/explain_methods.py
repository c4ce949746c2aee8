"""What each method of attribution is in words, needs and reads; the engine computes by it, the dialogs tell it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MethodWords:
    """``words`` name the method in a sentence, ``assumes`` says what it rests on and ``costs`` what it takes.
    ``reads`` are the fields of an ExplainJob that decide it. ``gradients`` says that it needs these, ``complete`` that
    contributions add up to prediction - baseline prediction, ``variables``, ``steps`` and ``cells`` what it tells
    apart.
    """

    name: str
    label: str
    words: str
    assumes: str
    costs: str
    reads: tuple[str, ...]
    gradients: bool = True
    complete: bool = False
    variables: bool = True
    steps: bool = True
    cells: bool = True


_ALL = (
    MethodWords(
        "integrated-gradients", "Integrated gradients", "integrated gradients",
        "The straight path between baseline and input stands for how the prediction came about.",
        "A pass with a gradient for each step; adds up to the prediction.",
        ("baseline", "steps"), complete=True,
    ),
    MethodWords(
        "gradient", "Gradient x input", "the gradient times input less baseline",
        "The model is taken as its tangent at this input; thresholds and saturation are not seen.",
        "One pass with a gradient, the cheapest of all; does not add up.",
        ("baseline",),
    ),
    MethodWords(
        "smoothgrad", "SmoothGrad", "the gradient averaged over noise",
        "The model is taken as its mean tangent around this input.",
        "A pass with a gradient for each sample; does not add up.",
        ("baseline", "samples", "noise", "seed"),
    ),
    MethodWords(
        "expected-gradients", "Expected gradients", "gradients on paths from windows of the training period",
        "Windows of the training period, each as likely as the other, stand for what would have been else.",
        "Two passes for each sample; adds up the better the more samples there are.",
        ("samples", "seed"), complete=True,
    ),
    MethodWords(
        "grad-cam", "Grad-CAM", "Grad-CAM",
        "Where the states of a layer are active and count on the mean of the map; variables are not told apart.",
        "One pass with a gradient; tells where and when, not which variable.",
        ("baseline", "layer"), variables=False,
    ),
    MethodWords(
        "occlusion-space", "Occlusion in space", "occlusion of blocks of cells",
        "One block of one variable is taken away at a time; what several do together is not seen.",
        "A pass for each variable and block of cells: small blocks on a large map take long. Needs no gradients.",
        ("baseline", "block"), gradients=False, steps=False,
    ),
    MethodWords(
        "occlusion-time", "Occlusion in time", "occlusion of steps",
        "One stretch of one variable is taken away at a time; what several do together is not seen.",
        "A pass for each variable and stretch of steps. Needs no gradients.",
        ("baseline", "block_steps"), gradients=False, cells=False,
    ),
    MethodWords(
        "gaussian", "Gaussian perturbation", "Gaussian perturbation",
        "All variables and steps around a place are weakened together.",
        "A pass for each sample, and a clear map takes hundreds; tells where, not which variable. Needs no gradients.",
        ("baseline", "samples", "sigma", "seed"), gradients=False, variables=False, steps=False,
    ),
    MethodWords(
        "rise", "RISE", "random masks (RISE)",
        "Half of the map is taken away at random, all variables and steps together.",
        "A pass for each sample, and a clear map takes hundreds; tells where, not which variable. Needs no gradients.",
        ("baseline", "samples", "block", "seed"), gradients=False, variables=False, steps=False,
    ),
    MethodWords(
        "shapley", "Shapley values", "Shapley values of variables",
        "Variables come in in every order, also in such as weather does not know.",
        "A pass for each variable and sample; adds up. Tells which variable, not where or when. Needs no gradients.",
        ("baseline", "samples", "seed"), gradients=False, complete=True, steps=False, cells=False,
    ),
)  # fmt: skip
METHOD_WORDS: dict[str, MethodWords] = {item.name: item for item in _ALL}
WITHOUT_GRADIENTS = tuple(item.name for item in _ALL if not item.gradients)
