"""Imported models of the public PyTorch cell give what that cell gives; files with more than tensors are refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from freshet.core.contracts import EngineError, ModelFileError
from freshet.core.inference.exchange.imported import adopt_weights, options_of, prove_equal
from freshet.core.inference.exchange.importing import read_foreign
from freshet.core.models import build_model

from .public_cell import PublicModel, random_model

CASES = [
    {"inputs": 3, "hidden": (4,), "kernels": (3,)},
    {"inputs": 3, "hidden": (4, 2), "kernels": (5, 1), "bias": False, "head": 2},
    {"inputs": 2, "hidden": (3, 4), "kernels": (3, 3), "norms": True},
    {"inputs": 1, "hidden": (2, 3), "kernels": (3, 3), "head": 0},
]


@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("envelope", [None, "state_dict"])
def test_outputs_equal_those_of_the_public_cell(tmp_path, options, envelope):
    model = random_model(**options)
    state = {f"module.{name}": value for name, value in model.state_dict().items()} if envelope else model.state_dict()
    path = tmp_path / "model.pt"
    torch.save({"epoch": 3, envelope: state} if envelope else state, path)
    foreign = read_foreign(path)
    module = build_model("convlstm", foreign.inputs, foreign.maps, **options_of(foreign)[0])
    adopt_weights(module, foreign, range(foreign.inputs))
    window = torch.randn(2, 5, options["inputs"], 7, 6)
    with torch.inference_mode():
        expected = model(window).numpy()
        found = module.eval()(window)["y_hat"].flatten(1, 2).numpy()
    assert np.abs(found - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
    assert np.abs(foreign.predict(window[0].numpy()) - expected[0]).max() < 1e-5 * max(1.0, np.abs(expected).max())
    assert prove_equal(module, foreign, range(foreign.inputs), 0) < 1e-5
    assert any("sigmoid for the gates" in note for note in foreign.notes)


def test_a_file_of_older_pytorch_is_read(tmp_path):
    model = random_model(**CASES[0])
    path = tmp_path / "old.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    assert read_foreign(path).inputs == 3


class Program:
    """Would write a file when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (self.place,)

    def __init__(self, place):
        self.place = place


def test_a_file_that_could_run_a_program_is_refused(tmp_path):
    harm = str(tmp_path / "harm")
    path = tmp_path / "model.pt"
    for content in ({"cell_list.0.conv.weight": Program(harm)}, random_model(**CASES[0])):
        torch.save(content, path)
        with pytest.raises(ModelFileError, match=r"could run a program.*model\.state_dict\(\)"):
            read_foreign(path)
    assert not os.path.exists(harm)


@pytest.mark.parametrize("content", [b"", b"\x00junk" * 100, b"hello world, this is text", None])
def test_damaged_files_are_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "model.pt"
    torch.save(random_model(**CASES[0]).state_dict(), path)
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    with pytest.raises(ModelFileError, match="damaged"):
        read_foreign(path)


def _with(**more):
    return {**random_model(**CASES[0]).state_dict(), **more}


@pytest.mark.parametrize(
    "state, words",
    [
        ([1, 2], "no state_dict"),
        ({"fc.weight": torch.zeros(3, 3)}, "not one stack"),
        ({}, "not one stack"),
        (_with(**{"cell_list.2.conv.weight": torch.zeros(8, 6, 3, 3)}), "not one stack"),
        (_with(**{"other.cell_list.0.conv.weight": torch.zeros(16, 7, 3, 3)}), "not one stack"),
        (_with(**{"cell_list.0.Wci": torch.zeros(1, 4, 6, 6)}), "place is not known.*Wci"),
        (_with(**{"cell_list.0.conv.weight": torch.zeros(15, 7, 3, 3)}), "not that of the public cell"),
        (_with(**{"cell_list.0.conv.weight": torch.zeros(16, 7, 2, 2)}), "kernel of"),
        (_with(**{"cell_list.0.conv.weight": torch.full((16, 7, 3, 3), torch.nan)}), "not finite"),
        (_with(**{"bn.running_mean": torch.zeros(9), "bn.running_var": torch.ones(9)}), "which layer its batch"),
        (_with(**{"fc.weight": torch.zeros(3, 3)}), "place is not known"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, state, words):
    path = tmp_path / "model.pt"
    torch.save(state, path)
    with pytest.raises(ModelFileError, match=words):
        read_foreign(path)


def test_an_old_engine_refuses_for_safety(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    torch.save(random_model(**CASES[0]).state_dict(), path)
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(EngineError, match="safely"):
        read_foreign(path)


def test_the_order_of_the_gates_matters():
    """The transcription and a copy with exchanged gates differ, so equal outputs prove the order."""
    model, other = random_model(**CASES[0]), PublicModel(**CASES[0]).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        weight = other.cell_list[0].conv.weight
        weight.copy_(torch.cat([weight[:8], weight[12:], weight[8:12]]))
        window = torch.randn(1, 4, 3, 5, 5)
        assert (model(window) - other(window)).abs().max() > 1e-3
