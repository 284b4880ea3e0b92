import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from napari_microsr.core.weights import SHIPPED, ModelCard, export, find, list_cards, load_state, read_card
from napari_microsr.errors import ModelError
from napari_microsr.superres.registry import load_network

FACTS = {
    "id": "tiny",
    "architecture": "fast-residual",
    "arguments": {"channels": 1, "features": 2, "blocks": 1},
    "task": "super-resolution",
    "factor": 2,
    "domain": "any",
    "summary": "For tests.",
    "channels": 1,
    "parameters": 1,
    "licence": "CC0-1.0",
    "halo_px": 4,
    "multiple_of": 1,
    "normalisation": "range",
    "reduced_precision": False,
}


def tiny_network():
    from napari_microsr.superres.networks.fast import FastResidual

    torch.manual_seed(0)
    network = FastResidual(1, 2, 1)
    nn.init.normal_(network.tail.weight)
    return network


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROSR_HOME", str(tmp_path))
    return tmp_path / "models"


@pytest.fixture
def exported(tmp_path):
    return export(tiny_network(), ModelCard(**FACTS), tmp_path / "given")


def test_export_then_load_gives_the_same_network(exported):
    card, weights = find(exported)
    assert card.sha256 == hashlib.sha256(exported.read_bytes()).hexdigest()
    x = torch.rand(1, 1, 6, 5)
    assert torch.equal(load_network(card, weights)(x), tiny_network().eval()(x))
    state = tiny_network().state_dict()
    assert {k: v.shape for k, v in load_file(exported).items()} == {k: v.shape for k, v in state.items()}


def test_a_path_wins_over_an_id_and_the_home_over_the_package(home):
    network = tiny_network()
    ours = ModelCard(**{**FACTS, "id": "bicubic"})
    path = export(network, ours, home)
    assert find("bicubic") == (read_card(home / "bicubic.json"), path)
    shipped, none = find(SHIPPED / "histology-x2.safetensors")
    assert shipped.id == "histology-x2"
    assert none == SHIPPED / "histology-x2.safetensors"
    assert [card.architecture for card in list_cards() if card.id == "bicubic"] == ["fast-residual"]


def test_a_network_without_weights_has_no_path(home):
    card, weights = find("bicubic")
    assert weights is None
    assert load_network(card, weights)(torch.rand(1, 7, 3, 3)).shape == (1, 7, 6, 6)


def test_unknown_id_lists_the_known(home):
    with pytest.raises(ModelError, match=r"no model 'histology'\..*bicubic.*histology-x2"):
        find("histology")


def test_missing_weights_and_missing_cards(exported, home):
    with pytest.raises(ModelError, match=r"model card .* cannot be read"):
        find(home / "nothing.safetensors")
    exported.rename(exported.with_name("moved.safetensors"))
    with pytest.raises(ModelError, match="are missing"):
        find(exported)
    with pytest.raises(ModelError, match=r"moved\.json cannot be read"):
        find(exported.with_name("moved.safetensors"))


def test_installed_card_without_its_weights(home):
    export(tiny_network(), ModelCard(**FACTS), home).unlink()
    with pytest.raises(ModelError, match=r"tiny\.safetensors are missing"):
        find("tiny")


def test_a_network_with_parameters_needs_weights(exported):
    card, _ = find(exported)
    for claimed in (card, card.model_copy(update={"sha256": None})):
        with pytest.raises(ModelError, match="weights of tiny are missing"):
            load_network(claimed, None)


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b[:100] + b"\0" + b[101:], lambda b: b""])
def test_damaged_weights_are_refused(exported, damage):
    card, weights = find(exported)
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ModelError, match="damaged or not those of tiny"):
        load_state(weights, card)


def test_what_is_no_safetensors_file_is_named(exported):
    card, weights = find(exported)
    weights.write_bytes(b"hello")
    card = card.model_copy(update={"sha256": hashlib.sha256(b"hello").hexdigest()})
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_state(weights, card)


def test_wrong_architecture_is_named(exported):
    card, weights = find(exported)
    card = card.model_copy(update={"architecture": "residual-unet", "arguments": {}})
    with pytest.raises(ModelError, match="do not fit the network residual-unet"):
        load_network(card, weights)


def test_foreign_weights_are_read_without_running_code(exported, tmp_path):
    card, _ = find(exported)

    def card_for(path):
        found = card.model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
        path.with_suffix(".json").write_text(found.model_dump_json())
        return find(path)

    foreign = tmp_path / "foreign.pth"
    torch.save(tiny_network().state_dict(), foreign)
    loaded = load_network(*card_for(foreign))
    assert torch.equal(loaded.tail.weight, tiny_network().tail.weight)

    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    evil = tmp_path / "evil.pt"
    torch.save({"weight": Evil()}, evil)
    found, path = card_for(evil)
    with pytest.raises(ModelError, match="more than tensors"):
        load_state(path, found)
    evil.write_bytes(pickle.dumps(Evil(), protocol=2))
    found, path = card_for(evil)
    with pytest.raises(ModelError, match="more than tensors"):
        load_state(path, found)
    assert not (tmp_path / "ran").exists()
    torch.save([1, 2], evil)
    found, path = card_for(evil)
    with pytest.raises(ModelError, match="not a table of tensors"):
        load_state(path, found)


@pytest.mark.parametrize(
    ("change", "place"),
    [({"factor": 0}, "factor"), ({"domain": "cats"}, "domain"), ({"colour": "red"}, "colour")],
)
def test_wrong_cards_are_named(tmp_path, change, place):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**FACTS, **change}))
    with pytest.raises(ModelError, match=f"is wrong at {place}"):
        read_card(path)
    path.write_bytes(b"\xff{")
    with pytest.raises(ModelError, match="is wrong at the file"):
        read_card(path)


def test_export_into_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        export(tiny_network(), ModelCard(**FACTS), tmp_path / "file")


def test_a_card_survives_its_file(exported):
    card = read_card(exported.with_suffix(".json"))
    assert card == ModelCard.model_validate_json(card.model_dump_json())
    assert card.row()[:5] == ("tiny", "super-resolution", "x2", "any", "CC0-1.0")
