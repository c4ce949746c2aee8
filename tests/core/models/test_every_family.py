"""What every family of the catalogue promises, whatever its equations are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.contracts.models import FAMILIES, family
from freshet.core.models import REGISTRY, build_model, list_models
from freshet.core.models.base import WHOLE_FRAME_PX
from freshet.core.models.learning import Sample, Targets

NAMES = [item.name for item in FAMILIES if item.name in REGISTRY]
BY_GRADIENT = [name for name in NAMES if family(name).learns == "gradient"]
MAPS = [name for name in NAMES if "maps" in family(name).gives]
GAUGES = [name for name in NAMES if "gauges" in family(name).gives]
CHANNELS, STATIC, WINDOW, HEIGHT, WIDTH = 3, 2, 5, 9, 8
# Small sizes, so that the whole zoo is tried in a minute; a family that needs other options says so here.
SMALL: dict[str, dict] = {
    "convlstm": {"hidden": (6,)},
    "convlstm-ed": {"hidden": (6,)},
    "convlstm-gauge": {"hidden": (6,), "attention": 5},
    "convgru": {"hidden": (6, 4)},
    "convlstm-unet": {"hidden": (6, 4, 4)},
    "predrnn": {"channels": 6, "layers": 2},
    "mim": {"channels": 5, "layers": 2},
    "cubic": {"channels": 4, "layers": 2, "frames": 2},
    "predrnn++": {"channels": 6, "layers": 2},
    "a-convlstm": {"hidden": (6, 4), "attention": 5},
    "cbam-convlstm": {"hidden": (6,)},
    "sa-convlstm": {"hidden": (6,)},
    "msa-convlstm": {"hidden": (8,), "heads": 2, "pyramid": (1, 3)},
    "deform-convlstm": {"hidden": (6,), "max_offset": 2.0},
    "deform-convlstm-sac": {"hidden": (6,), "max_offset": 1.0, "moran_reach": 2},
    "gccl": {"hidden": (6,), "links": 4},
    "partial-convlstm": {"hidden": (6,)},
    "cnn-biconvlstm": {"cnn": (6,), "hidden": (4,)},
    "lstm": {"hidden_size": 12},
    "mc-lstm": {"storages": 6},
    "exp-hydro": {"substeps": 1, "soil_start": 1.0},
    "cnn-lstm": {"channels": (4, 6), "hidden_size": 6},
    "cnn": {"hidden": (6, 4), "frames": 3},
    "mc-convlstm": {"storages": 3, "hidden": 6},
    "random-forest": {"trees": 4, "depth": 4},
    "advection": {"frames": 2, "reach": 2.0},
}


# Their reach is short here, but a tile would be another graph, other pools, or another grid, than the whole frame.
BOUND_TO_FRAME = ("gccl", "convlstm-unet", "climatology")
GAUGE_COUNT = {"mc-lstm": 1, "exp-hydro": 1}  # of families that take no other number; 4 for the others

# Families of a few parameters with a meaning: they cannot learn noise by heart, but what another of their kind gives.
PHYSICAL = ("exp-hydro",)


def make(name: str, *, static: int = STATIC, gauges: int = 0, leads: int = 1, **options):
    torch.manual_seed(0)
    known = family(name)
    static = static if known.uses_static else 0
    options = {**SMALL.get(name, {}), **options}
    model = build_model(name, CHANNELS, 1, static_channels=static, gauges=gauges, leads=leads, **options)
    if known.learns == "at once":
        list(model.learn(Lesson(model), 0))
    return model


class Lesson:
    """Two samples for the families that learn at once."""

    def __init__(self, model) -> None:
        self.model, self.generator = model, torch.Generator().manual_seed(9)

    def __len__(self) -> int:
        return 2

    def __iter__(self):
        for _ in range(len(self)):
            x, static = self._random(3, WINDOW, CHANNELS), self._random(3, self.model.static_channels)
            yield Sample(x, static, None, torch.ones(1, 1, HEIGHT, WIDTH), self._y(3, self.model.leads))

    def targets(self):
        y = self._y(3).unsqueeze(2) if self.model.gauges else self._y(3)
        yield Targets(y.numpy(), np.array([0.1, 0.5, 0.9], dtype=np.float32), np.array([10.0, 11.0, 12.0]))

    def _y(self, *sizes: int):
        if self.model.gauges:
            return torch.randn(*sizes, 1, self.model.gauges, generator=self.generator)
        return self._random(*sizes, 1)

    def _random(self, *sizes: int):
        return torch.randn(*sizes, HEIGHT, WIDTH, generator=self.generator)


def shortest(name: str) -> int:
    """Steps of the shortest window with the small options."""
    return family(name).shortest_window(family(name).complete(SMALL.get(name, {})))


def sample(name: str, batch: int = 2, height: int = HEIGHT, width: int = WIDTH, window: int = WINDOW, seed: int = 1):
    """x, and the further arguments that the family reads."""
    known = family(name)
    generator = torch.Generator().manual_seed(seed)
    window = max(window, shortest(name))
    x = torch.randn(batch, window, CHANNELS, height, width, generator=generator)
    if known.mass_input:
        x[:, :, 0] = 5.0 * torch.rand(x[:, :, 0].shape, generator=generator)
    more = {"static": torch.randn(batch, STATIC, height, width, generator=generator) if known.uses_static else None}
    if known.uses_mask:
        more["mask"] = torch.ones(1, 1, height, width)
    return x, more


def moved(model):
    """The same model with other parameters."""
    with torch.no_grad():
        for value in model.parameters():
            value += 0.7
    return model


def run(model, x, more, **extra):
    return model(x, **more, **extra)


@pytest.mark.parametrize("name", MAPS)
def test_predicts_maps_of_the_promised_shape_also_on_other_grids(name):
    model = make(name).eval()
    for height, width in ((HEIGHT, WIDTH), (11, 13)):
        x, more = sample(name, height=height, width=width)
        if not family(name).any_grid and (height, width) != (HEIGHT, WIDTH):
            run(model, *sample(name))
            with pytest.raises(ConfigError, match="grid"):
                run(model, x, more)
            continue
        assert run(model, x, more)["y_hat"].shape == (2, 1, 1, height, width)


@pytest.mark.parametrize("name", GAUGES)
def test_predicts_gauges_of_the_promised_shape(name):
    count = GAUGE_COUNT.get(name, 4)
    model = make(name, gauges=count).eval()
    x, more = sample(name)
    assert run(model, x, more)["y_hat"].shape == (2, 1, 1, count)


@pytest.mark.parametrize("name", NAMES)
def test_several_leads_are_predicted_or_refused(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    if not family(name).several_leads:
        with pytest.raises(ConfigError, match="lead"):
            make(name, leads=3, **kind)
        return
    x, more = sample(name)
    assert run(make(name, leads=3, **kind).eval(), x, more)["y_hat"].shape[1] == 3


@pytest.mark.parametrize("name", NAMES)
def test_runs_with_and_without_static_maps_and_masks(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    x, more = sample(name)
    bare = {key: value for key, value in more.items() if key == "mask"}
    assert torch.isfinite(make(name, static=0, **kind).eval()(x, **bare)["y_hat"]).all()
    observed = (torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) > 0.3).float()
    assert torch.isfinite(run(make(name, **kind).eval(), x, {**more, "observed": observed})["y_hat"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_supervised_steps_are_predictions_of_shorter_windows_or_refused(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    model = make(name, **kind).eval()
    x, more = sample(name, window=WINDOW + 3)
    if not model.several_steps:
        with pytest.raises(ConfigError, match="last step"):
            run(model, x, more, last_steps=2)
        return
    result = run(model, x, more, last_steps=2)
    torch.testing.assert_close(result["y_hat_steps"][:, -1], result["y_hat"], rtol=1e-5, atol=1e-6)
    shorter = run(model, x[:, :-1], more)["y_hat"]
    torch.testing.assert_close(result["y_hat_steps"][:, 0], shorter, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_its_batch(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    model = make(name, **kind).eval()
    x, more = sample(name, batch=3)
    together = run(model, x, more)["y_hat"]
    for k in range(3):
        one = {key: value[k : k + 1] if value is not None and len(value) == 3 else value for key, value in more.items()}
        torch.testing.assert_close(run(model, x[k : k + 1], one)["y_hat"], together[k : k + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_every_parameter_gets_a_gradient(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    model = make(name, **kind).train()
    x, more = sample(name)
    y_hat = run(model, x, more)["y_hat"]
    (y_hat * torch.randn(y_hat.shape, generator=torch.Generator().manual_seed(5))).sum().backward()
    still = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == []


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_changes_gradients_but_not_the_prediction(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    model = make(name, **kind).eval()
    x, more = sample(name)
    whole, warmed = run(model, x, more)["y_hat"], run(model, x, more, warm_up=2)["y_hat"]
    torch.testing.assert_close(warmed, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_close_to_float32(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    model = make(name, **kind).eval()
    x, more = sample(name)
    with torch.no_grad():
        exact = run(model, x, more)["y_hat"]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coarse = run(model, x, more)["y_hat"].float()
    assert float((coarse - exact).abs().max()) <= 0.05 * max(1.0, float(exact.abs().max()))


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_learns_one_small_batch_by_heart(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    model = make(name, **kind).train()
    x, more = sample(name, height=5, width=5)
    with torch.no_grad():
        shape = run(model, x, more)["y_hat"].shape
    target = 0.5 * torch.randn(shape, generator=torch.Generator().manual_seed(7))
    if family(name).mass_input:
        target = target.abs()  # water
    if name in PHYSICAL:
        target = run(moved(make(name, **kind)), x, more)["y_hat"].detach()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = last = float("inf")
    for step in range(400):
        loss = (run(model, x, more)["y_hat"] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = loss.item() if step == 0 else first
        last = min(last, loss.item())
        if last < 0.1 * first:
            break
    assert last < 0.1 * first


@pytest.mark.parametrize("name", MAPS)
def test_cells_beyond_the_halo_have_no_influence(name):
    model = make(name).eval()
    window = max(2, shortest(name))
    halo = model.halo_px(window)
    if halo >= WHOLE_FRAME_PX:
        assert name in BOUND_TO_FRAME or _far_cells_matter(name, model, window)
        return
    size = 2 * halo + 3
    x, more = sample(name, batch=1, height=size, width=size, window=window)
    centre = run(model, x, more)["y_hat"][..., halo + 1, halo + 1]
    x[..., 0, :] += 50.0
    x[..., :, -1] += 50.0
    assert torch.equal(run(model, x, more)["y_hat"][..., halo + 1, halo + 1], centre)


def _far_cells_matter(name: str, model, window: int, size: int = 33) -> bool:
    """Whether a family that asks for the whole frame needs it: the border changes what the middle predicts."""
    x, more = sample(name, batch=1, height=size, width=size, window=window)
    centre = run(model, x, more)["y_hat"][..., size // 2, size // 2]
    x[..., 0, :] += 50.0
    return not torch.equal(run(model, x, more)["y_hat"][..., size // 2, size // 2], centre)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_gives_the_same_bits(name):
    kind = {} if "maps" in family(name).gives else {"gauges": 2}
    x, more = sample(name)
    model = make(name, **kind).eval()
    run(model, x, more)
    again = make(name, **kind).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(run(again, x, more)["y_hat"], run(model, x, more)["y_hat"])


def test_the_catalogue_and_the_engine_name_the_same_families():
    assert set(REGISTRY) == {item.name for item in FAMILIES}
    assert {family(name).name for name in list_models()} == set(REGISTRY)


@pytest.mark.parametrize("item", FAMILIES, ids=lambda item: item.name)
def test_every_family_names_its_paper_and_explains_its_options(item):
    assert item.paper and item.summary.endswith(".") and item.label
    for option in item.options:
        assert option.rule.label and option.rule.help.endswith(".")
