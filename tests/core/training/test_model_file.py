"""Model files: the same bits back; anything altered is refused in words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import tiny_card  # noqa: E402

from freshet.core.contracts import ModelFileError  # noqa: E402
from freshet.core.contracts.model_card import read_card  # noqa: E402
from freshet.core.training.model_file import build_from_card, load_model, save_model  # noqa: E402


@pytest.fixture
def saved(tmp_path):
    card = tiny_card()
    torch.manual_seed(0)
    module = build_from_card(card)
    save_model(tmp_path / "model.safetensors", module, card)
    return tmp_path / "model.safetensors", module, card


def test_weights_and_card_come_back_bit_by_bit(saved):
    path, module, card = saved
    again, card_again = load_model(path)
    assert card_again == card and read_card(path) == card and not again.training
    for one, two in zip(module.state_dict().values(), again.state_dict().values()):
        assert torch.equal(one, two)


def test_the_card_is_readable_without_torch(saved):
    import subprocess

    path, _, card = saved
    root = Path(__file__).resolve().parents[3]
    code = (
        f"import sys; sys.path.insert(0, {str(root / 'tests')!r}); import conftest\n"
        f"from freshet.core.contracts.model_card import read_card\n"
        f"print(read_card({str(path)!r}).target.name, 'torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [card.target.name, "False"]


def test_a_flipped_byte_of_the_weights_is_noticed(saved):
    path, _, _ = saved
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="altered since it was saved"):
        load_model(path)


def test_an_altered_card_is_noticed(saved):
    path, _, _ = saved
    data = path.read_bytes()
    path.write_bytes(data.replace(b'window\\": 5', b'window\\": 6', 1))
    assert path.read_bytes() != data
    with pytest.raises(ModelFileError, match="altered since it was saved"):
        load_model(path)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(saved, keep):
    path, _, _ = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match="truncated|not a Freshet model"):
        load_model(path)


def test_weights_that_do_not_fit_the_card_are_refused_before_they_are_read(saved, tmp_path):
    _, module, card = saved
    other = card.replace(options={**card.options, "hidden": [7]})
    save_model(tmp_path / "other.safetensors", module, other)
    with pytest.raises(ModelFileError, match="do not fit the model that its card describes"):
        load_model(tmp_path / "other.safetensors")
