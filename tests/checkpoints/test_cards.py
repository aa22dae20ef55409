"""Cards of priors: names become files that are the right ones, or one clear message."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import hrdis
from hrdis import cli
from hrdis.check import check_prior
from hrdis.check.prior import SCHEDULES
from hrdis.checkpoints import LOADERS, cards, embedded_folder, weights_sha256
from hrdis.files import cache_folder, sha256
from hrdis.priors import UNetPrior
from hrdis.rng import stream
from hrdis.schedule import Schedule
from tests.checkpoints.test_fetch import BODY, SHA, cache, server  # noqa: F401

FILES = ("config.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors")


def run(*words: object) -> int:
    return cli.main(["model", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the embedded prior's files, as a user's own."""
    to = tmp_path / "own"
    to.mkdir()
    for name in FILES:
        shutil.copy(embedded_folder() / name, to)
    return to


@pytest.mark.parametrize("card", cards.all_cards().values(), ids=lambda c: c.name)
def test_shipped_card_says_what_it_must(card):
    assert card.scheme in LOADERS
    assert (
        card.name != "default"
        and card.licence
        and card.origin.startswith("https://")
        and card.roughly
    )
    assert all(file.url.startswith("https://") for file in card.files)
    assert card.load == "." or card.load in {file.name for file in card.files}
    assert all(bool(card.hash_source) == bool(file.sha256) for file in card.files)


def test_prior_that_is_not_here_is_not_fetched_but_says_how(cache):  # noqa: F811
    with pytest.raises(
        ValueError,
        match=r"^The prior 'imagenet256' is not on this machine .*hrdis model download imagenet",
    ):
        hrdis.load_prior("imagenet256")
    assert not cache.exists()


@pytest.mark.parametrize("home", ["HRDIS_HOME", "XDG_CACHE_HOME"])
def test_cache_can_be_moved(tmp_path, monkeypatch, home):
    monkeypatch.delenv("HRDIS_HOME")
    monkeypatch.setenv(home, str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / ("" if home == "HRDIS_HOME" else "hrdis")


def test_folder_that_was_added_loads_by_name(folder, capsys):
    assert run("add", "mine", f"diffusers:{folder}", "--licence", "CC0-1.0") == 0
    prior = hrdis.load_prior("mine")
    x = torch.zeros(1, 3, 8, 8)
    torch.testing.assert_close(
        prior(x, 5).eps, hrdis.load_prior("default")(x, 5).eps, rtol=0, atol=0
    )
    assert weights_sha256("mine") == weights_sha256("default")
    assert run("show", "mine") == 0 and "CC0-1.0" in capsys.readouterr().out
    assert run("list") == 0 and "mine " in capsys.readouterr().out


def test_file_that_changed_since_it_was_added_is_refused(folder):
    run("add", "mine", f"diffusers:{folder}")
    old = sha256(folder / "config.json")
    (folder / "config.json").write_text("{}")
    with pytest.raises(
        ValueError,
        match=rf"is not the file of the prior 'mine': .* {old} is expected \(when added\)",
    ):
        hrdis.load_prior("mine")


def test_file_that_is_gone_is_named(folder):
    run("add", "mine", f"diffusers:{folder}")
    (folder / "config.json").unlink()
    with pytest.raises(
        ValueError, match=rf"{folder / 'config.json'} is expected, where it was added from"
    ):
        hrdis.load_prior("mine")


def test_file_put_into_the_cache_by_hand_is_pinned_on_first_use(cache):  # noqa: F811
    card = cards.Card(
        name="mine", scheme="diffusers", files=(cards.File(name="w.pt", url="http://h/w.pt"),)
    )
    card.folder.mkdir(parents=True)
    (card.folder / "w.pt").write_bytes(BODY)
    assert cards.verify(card) == {"w.pt": SHA}
    (card.folder / "w.pt").write_bytes(BODY[1:])
    with pytest.raises(
        ValueError, match=rf"{SHA} is expected \(pinned {cards.today()}; to pin anew, remove "
    ):
        cards.verify(card)


def test_address_that_was_added_is_fetched(server, cache, capsys):  # noqa: F811
    assert run("add", "mine", f"diffusers:{server.url}", "--sha256", SHA) == 0
    assert run("download", "mine") == 0
    assert (cache / "priors" / "mine" / "weights.pt").read_bytes() == BODY
    assert run("download", "mine") == 0 and "is here already" in capsys.readouterr().err


def test_download_that_fails_is_one_line_and_status_1(server, capsys):  # noqa: F811
    run("add", "mine", f"diffusers:{server.url}", "--sha256", "0" * 64)
    capsys.readouterr()
    assert run("download", "mine") == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("download nobody", "There is no card 'nobody'"),
        ("download", "The default model comes with the package. Another name is expected"),
        (
            "show nobody",
            "There is no model 'nobody'. 'default', a known name or a folder is expected.",
        ),
        ("add mine /x.pt", "SCHEME:PATH or SCHEME:URL is expected"),
        ("add mine nowhere:/x.pt", "SCHEME:PATH or SCHEME:URL is expected"),
        ("add Mine diffusers:.", "The name is 'Mine'"),
        ("add default diffusers:.", "There is a model 'default' already"),
        ("add imagenet256 diffusers:.", "There is a model 'imagenet256' already"),
        ("add mine diffusers:/nowhere/x.pt", "There is no /nowhere/x.pt"),
        ("add mine diffusers:http://h/x --sha256 123", "64 hexadecimal digits"),
        ("check imagenet256", "hrdis model download imagenet256"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, message, capsys):
    assert run(*words.split()) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_hash_that_an_added_file_has_not_is_refused(tmp_path, capsys):
    (tmp_path / "w.pt").write_bytes(BODY)
    assert run("add", "mine", f"diffusers:{tmp_path / 'w.pt'}", "--sha256", "0" * 64) == 2
    assert SHA in capsys.readouterr().err and not (cache_folder() / "cards").exists()


@pytest.mark.parametrize(
    "text", ["", "{}", '{"name": "a", "scheme": "b", "files": [{"name": "../../x"}]}', "[1]"]
)
def test_card_that_cannot_be_read_is_named(text):
    file = cache_folder() / "cards" / "a.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"^The card {file} cannot be read"):
        hrdis.load_prior("a")


def test_damaged_card_leaves_the_other_priors_alone(folder):
    run("add", "mine", f"diffusers:{folder}")
    (cache_folder() / "cards" / "broken.json").write_text("")
    assert hrdis.load_prior("default").name == "default"
    assert hrdis.load_prior("mine").name == "own"
    with pytest.warns(UserWarning, match=r"The card .*broken\.json cannot be read"):
        assert "mine" in cards.all_cards()


def test_user_without_a_home_has_the_default_prior(monkeypatch):
    """As in a container that runs under a user id without a name."""
    monkeypatch.delenv("HRDIS_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert hrdis.load_prior("default").name == "default"
    with pytest.raises(ValueError, match=r"^This user has no home folder\. .*HRDIS_HOME="):
        hrdis.load_prior("mine")


@pytest.mark.parametrize("listed", ["bin", "fp16.safetensors"])
def test_better_file_that_is_not_on_the_card_is_refused(folder, listed):
    """Loaders take the best form of the weights that is there; nobody has hashed this one."""
    weights = folder / "diffusion_pytorch_model.safetensors"
    if listed == "bin":
        torch.save(load_file(weights), folder / "diffusion_pytorch_model.bin")
    else:
        shutil.copy(weights, folder / "diffusion_pytorch_model.fp16.safetensors")
    swapped = {name: tensor.flip(0) for name, tensor in load_file(weights).items()}
    weights.unlink()
    run("add", "mine", f"diffusers:{folder}")
    hrdis.load_prior("mine")
    save_file(swapped, weights)
    with pytest.raises(ValueError, match=rf"{weights} is not on the card of the prior 'mine'"):
        hrdis.load_prior("mine")


def test_other_file_in_a_folder_that_was_added_is_not_minded(folder):
    run("add", "mine", f"diffusers:{folder}")
    (folder / "notes.json").write_text("{}")
    hrdis.load_prior("mine")


def test_address_without_encryption_or_hash_is_warned_of(capsys):
    run("add", "mine", "diffusers:http://h/x.pt")
    assert "not encrypted and its hash is not known" in capsys.readouterr().err
    run("add", "other", "diffusers:https://h/x.pt")
    assert "not encrypted" not in capsys.readouterr().err


# ---- check --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    x = hrdis.images.load(Path(hrdis.__file__).parent / "pictures" / "chelsea.png")
    return x[..., 80:144, 80:144]


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return hrdis.load_prior("default").net


def changed(net: torch.nn.Module, change) -> UNetPrior:
    net = copy.deepcopy(net)
    with torch.no_grad():
        change(net)
    return UNetPrior(net, prediction_type="v_prediction")


def shuffle(net):
    rng = stream(0, "shuffle")
    for p in net.parameters():
        p.copy_(p.flatten()[torch.from_numpy(rng.permutation(p.numel()))].view_as(p))


def permute(net):
    weight = net.encoder[0][1].conv1.weight
    weight.copy_(weight[:, torch.from_numpy(stream(0, "permute").permutation(weight.shape[1]))])


def test_embedded_prior_passes(net, picture):
    assert check_prior(changed(net, lambda _: None), picture).passed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shuffle, "worse than their noise: like random weights"),
        (permute, "some are in the wrong place"),
    ],
)
def test_wrong_weights_are_told_from_right_ones(net, picture, change, words):
    report = check_prior(changed(net, change), picture)
    assert not report.passed and any(words in note for note in report.notes)


@pytest.mark.parametrize(
    "schedule", [Schedule.linear(1000, 1e-4, 0.01), SCHEDULES["cosine, 1000 steps"]()]
)
def test_wrong_schedule_is_named(net, picture, schedule):
    report = check_prior(UNetPrior(copy.deepcopy(net), schedule, "v_prediction"), picture)
    assert not report.passed
    assert any(
        "trained on linear betas 1e-4 to 0.02, 1000 steps that predicts v_pred" in n
        for n in report.notes
    )


def test_wrong_prediction_type_is_named(net, picture):
    report = check_prior(UNetPrior(copy.deepcopy(net)), picture)
    assert {"noise at the top", "range at the top"} <= set(report.failed)
    assert any("on its own schedule that predicts v_prediction" in note for note in report.notes)


def test_card_that_describes_another_network_fails(net, picture):
    card = cards.all_cards()["imagenet64-cond"]
    report = check_prior(changed(net, lambda _: None), picture, card)
    assert report.failed == ("schedule",)
    assert check_prior(
        changed(net, lambda _: None), picture, cards.all_cards()["ffhq256"]
    ).failed == ("parameters",)


def test_network_of_nan_fails(net, picture):
    report = check_prior(changed(net, lambda n: n.conv_out.bias.fill_(torch.nan)), picture)
    assert not report.passed and len(report.failed) >= 5


@pytest.mark.parametrize(("status", "name"), [(0, "right"), (1, "wrong")])
def test_check_of_a_folder_tells_by_its_exit_status(folder, tmp_path, capsys, status, name):
    if status:
        scheduler = json.loads((folder / "scheduler_config.json").read_text()) | {
            "prediction_type": "epsilon"
        }
        (folder / "scheduler_config.json").write_text(json.dumps(scheduler))
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(Path(hrdis.__file__).parent / "pictures" / "chelsea.png", photos)
    assert run("check", folder, "--photos", photos, "--size", 64) == status
    assert ("All checks passed." in capsys.readouterr().out) == (status == 0)


def test_check_without_pictures_is_refused(tmp_path, capsys):
    assert run("check", "default", "--photos", tmp_path) == 2
    assert "holds no pictures" in capsys.readouterr().err
