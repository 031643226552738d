"""Published models in the tabs: described before anything is fetched, refused in sentences,
downloaded with a way out, checked, asked, kept over a restart, and removed. The Hub is a small
server of this process, with tiny models."""

import errno
import json
import shutil
import threading
import time

import numpy as np
import pytest
import tiny_models
from conftest import left_by_a_run
from gradio_client import Client
from PIL import Image
from serving import drawing, fresh_app, is_a_sentence, served_app
from tiny_models import name_kind

import app
from demos import audio_intent, captioning, digits, food
from demos.serving.hub_models import HubModels, Wishes
from demos.serving.model_slot import SwapError
from training.data import hub_choice, hub_model
from training.data.hub_model import Cancelled
from training.media.sounds import Sound
from training.recipe import SettingsError
from training.runs import checkpoint, published

# WavLM's network warns of the kinds of its masks.
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
PHOTO = Image.fromarray(
    np.random.default_rng(0).integers(0, 255, (9, 12, 3)).astype(np.uint8)
).resize((160, 120))
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000 * 3).astype(np.float32)


@pytest.fixture
def lab(runs):
    return app.open_lab(runs)


@pytest.fixture
def models():
    return HubModels()


def refusals(lab, models, slot: str, name: str) -> str:
    found = models.describe(lab.slots[slot], name)
    assert all(is_a_sentence(each) and name in each for each in found.refusals), found.refusals
    return " ".join(found.refusals)


# -- what it is ------------------------------------------------------------------------------------
def test_a_model_is_described_before_anything_is_downloaded(hub, lab, models, tmp_path):
    hub.about["tiny/vit"] = {"cardData": {"license": "apache-2.0"}}
    found = models.describe(lab.slots["food"], "tiny/vit")
    assert (found.name, found.kind, found.license) == ("tiny/vit", hub_model.PICTURES, "apache-2.0")
    assert found.classes == ("thing 0", "thing 1", "thing 2") and not found.refusals
    weights = hub.root / "tiny" / "vit" / "model.safetensors"
    assert weights.stat().st_size < found.bytes < weights.stat().st_size + 20_000
    assert found.revision == hub.commit("tiny/vit") and found.page == f"{hub.address}/tiny/vit"
    assert not (tmp_path / "cache").exists()
    assert not [each for each in hub.asked if "safetensors" in each]


@pytest.mark.parametrize(
    "slot, name, words",
    [
        ("food", "tiny/headless", "(ViTModel) that answers nothing here"),
        ("food", "tiny/blip", "writes about pictures, and this place takes what tells pictures"),
        ("captions", "tiny/clip", "use it in another tab"),
        ("audio", "tiny/vit", "this place takes what tells sounds apart"),
        ("digits", "tiny/vit", "(thing 0, thing 1, thing 2), and Digits asks for the ten digits"),
    ],
)
def test_a_model_for_something_else_is_refused_and_told_what_to_do(
    hub, lab, models, slot, name, words
):
    assert words in refusals(lab, models, slot, name)
    before = lab.slots[slot].active_id
    with pytest.raises(SwapError, match="choose another model"):
        models.use(lab.slots[slot], name)
    assert lab.slots[slot].active_id == before and not published.list_added(lab.runs)


def test_pickles_code_and_what_is_not_known_are_refused(lab, models, odd):
    pickled = odd("vit", "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert "Its weights are pickles" in refusals(lab, models, "food", "odd/pickled")
    coded = odd("vit", "coded")
    tiny_models.change_config(
        coded, model_type="my-vit", architectures=["MyViT"], auto_map={"AutoModel": "code.MyViT"}
    )
    assert "code of the Hub is never run here" in refusals(lab, models, "food", "odd/coded")
    newer = odd("vit", "newer")
    tiny_models.change_config(newer, model_type="vit9", architectures=["ViT9"])
    assert "the installed transformers does not know" in refusals(lab, models, "food", "odd/newer")
    bare = odd("vit", "bare")
    (bare / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json is missing" in refusals(lab, models, "food", "odd/bare")
    weightless = odd("vit", "weightless")
    (weightless / "model.safetensors").unlink()
    assert "holds no weights" in refusals(lab, models, "food", "odd/weightless")
    broken = odd("vit", "broken")
    (broken / "config.json").write_text("{")
    with pytest.raises(SwapError, match="odd/broken cannot be used: its config.json is damaged"):
        models.describe(lab.slots["food"], "odd/broken")


def test_safetensors_that_the_hubs_robot_offers_for_pickles_are_used(hub, lab, models, odd):
    pickled = odd("vit", "pickled")
    odd("vit", "pickled.offer")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    hub.offers.add("odd/pickled")
    found = models.describe(lab.slots["food"], "odd/pickled")
    assert not found.refusals and found.revision == hub.commit("odd/pickled", "refs/pr/1")
    held = models.use(lab.slots["food"], "odd/pickled")
    assert food.classify(lab.slots["food"], PHOTO).checkpoint == held.id


def test_a_gated_model_names_the_page_where_to_ask(hub, lab, models):
    hub.locked.add("tiny/vit")
    with pytest.raises(SwapError) as told:
        models.describe(lab.slots["food"], "tiny/vit")
    assert f"tiny/vit is gated: ask for access at {hub.address}/tiny/vit" in str(told.value)


def test_what_is_larger_than_memory_or_disk_is_refused(hub, lab, models, monkeypatch):
    monkeypatch.setattr("demos.serving.hub_models.free_bytes", lambda: 1000)
    assert "of memory, and < 0.1 MB are free here" in refusals(lab, models, "food", "tiny/vit")
    monkeypatch.setattr("demos.serving.hub_models.free_bytes", lambda: 10**12)
    monkeypatch.setattr(hub_model, "free_disk", lambda: 1000)
    assert "of disk, and < 0.1 MB are free here" in refusals(lab, models, "food", "tiny/vit")
    monkeypatch.setattr(hub_model, "free_disk", lambda: 10**12)
    assert not refusals(lab, models, "food", "tiny/vit")


@pytest.mark.parametrize(
    "typed, words",
    [
        ("nobody/nothing", "There is no model nobody/nothing on the Hub"),
        ("tiny/vit@v9", "tiny/vit@v9: there is no such revision of tiny/vit"),
        ("tiny/vit@../../x", "names no revision of tiny/vit"),
        ("/etc", "is no name on the Hub"),
        ("../tiny/vit", "is no name on the Hub"),
        ("", "is no name on the Hub"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(hub, lab, models, typed, words):
    with pytest.raises(SwapError) as told:
        models.describe(lab.slots["food"], typed)
    assert words in str(told.value) and is_a_sentence(str(told.value))


def test_a_hub_that_does_not_answer_is_said_with_what_to_do(lab, models, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SwapError, match="does not answer, so tiny/vit cannot be looked up. Check"):
        models.use(lab.slots["food"], "tiny/vit")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SwapError, match="HF_HUB_OFFLINE is set"):
        models.describe(lab.slots["food"], "tiny/vit")


# -- answers ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", tiny_models.PICTURES)
def test_classifiers_of_pictures_answer_as_their_own_processor_has_it(hub, lab, models, make):
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    slot = lab.slots["food"]
    held = models.use(slot, name_kind(make))
    answer = food.classify(slot, PHOTO)
    assert answer.checkpoint == held.id and answer.unlikeness is None
    folder = hub.root / name_kind(make)
    alone = AutoModelForImageClassification.from_pretrained(folder).eval()
    given = AutoImageProcessor.from_pretrained(folder)(PHOTO, return_tensors="pt")
    with torch.no_grad():
        right = alone(**given).logits[0].softmax(0)
    named = {alone.config.id2label[i]: float(p) for i, p in enumerate(right)}
    assert answer.confidences == pytest.approx(named, abs=1e-5)
    assert food.heat(slot, answer).ndim == 2


@pytest.mark.parametrize("make", tiny_models.ZERO_SHOT)
def test_zero_shot_models_tell_apart_what_a_person_typed(hub, lab, models, make):
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    slot = lab.slots["food"]
    held = models.use(slot, name_kind(make), Wishes("ramen,  pho\nsoup, Pho", "this is {}"))
    answer = food.classify(slot, PHOTO)
    assert checkpoint.labels(held.checkpoint.path) == ["ramen", "pho", "soup"]
    folder = hub.root / name_kind(make)
    alone = AutoModel.from_pretrained(folder).eval()
    padding = {"padding": "max_length", "max_length": 64} if make is tiny_models.siglip else {}
    told = AutoTokenizer.from_pretrained(folder)(
        ["this is ramen", "this is pho", "this is soup"],
        return_tensors="pt",
        **{"padding": True, **padding},
    )
    seen = AutoImageProcessor.from_pretrained(folder)(PHOTO, return_tensors="pt")
    if make is tiny_models.siglip:
        told = {"input_ids": told["input_ids"]}
    with torch.no_grad():
        right = alone(**told, **seen).logits_per_image[0].softmax(0)
    named = dict(zip(["ramen", "pho", "soup"], map(float, right), strict=True))
    assert answer.confidences == pytest.approx(named, abs=1e-4)
    assert food.heat(slot, answer).ndim == 2


def test_a_zero_shot_model_takes_the_classes_of_the_model_in_use(hub, lab, models):
    slot = lab.slots["food"]
    before = checkpoint.labels(checkpoint.embedded("food").path)
    held = models.use(slot, "tiny/clip")
    assert held.predictor.labels == before and "(101 classes)" in held.name
    again = models.use(slot, "tiny/clip", Wishes("ramen, pho"))
    assert again.id != held.id and again.predictor.labels == ["ramen", "pho"]
    assert {each.id for each in slot.list_checkpoints()} >= {held.id, again.id}
    assert food.classify(slot, PHOTO, held.id).checkpoint == held.id


@pytest.mark.parametrize(
    "wishes, words",
    [
        (Wishes("ramen"), "name two or more"),
        (Wishes("a,b", "a photo"), "must hold {} once"),
        (Wishes(",".join(map(str, range(1001)))), "1,000 classes at most"),
        (Wishes("a, " + "b" * 101), "of 100 characters at most"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_before_a_download(hub, lab, models, wishes, words):
    with pytest.raises(SwapError) as told:
        models.use(lab.slots["food"], "tiny/clip", wishes)
    assert words in str(told.value)
    assert not [each for each in hub.asked if "safetensors" in each]


@pytest.mark.parametrize("make", tiny_models.SOUNDS)
def test_classifiers_of_sounds_hear_by_their_own_extractor(hub, lab, models, make):
    slot = lab.slots["audio"]
    held = models.use(slot, name_kind(make))
    answer = audio_intent.classify(slot, Sound(NOISE, 16_000, 16_000, 1))
    assert answer.checkpoint == held.id and sum(answer.confidences.values()) == pytest.approx(1)
    assert set(answer.confidences) == {f"thing {i}" for i in range(4)}
    window = {"tiny/ast": 1.28, "tiny/whisper": 2.0}.get(name_kind(make), 30.0)
    assert held.predictor.seconds == pytest.approx(window)


def test_a_network_of_another_rate_is_given_its_own(hub, lab, models, monkeypatch):
    tiny_models.lay_out(hub.root, "odd/slow", tiny_models.wav2vec2(8_000))
    held = models.use(lab.slots["audio"], "odd/slow")
    heard = []
    prepare = held.predictor.preprocessor.prepare
    monkeypatch.setattr(
        held.predictor.preprocessor, "prepare", lambda clips: heard.extend(clips) or prepare(clips)
    )
    held.predictor.scores([NOISE])
    assert len(heard[0]) == len(NOISE) // 2
    shutil.rmtree(hub.root / "odd" / "slow")


@pytest.mark.parametrize("make", tiny_models.CAPTIONS)
def test_captioners_write_and_say_where_they_do_not_tell_what_they_saw(hub, lab, models, make):
    slot = lab.slots["captions"]
    held = models.use(slot, name_kind(make))
    found = captioning.caption(slot, PHOTO)
    assert found.checkpoint == held.id and len(found.alternatives) == captioning.ALTERNATIVES
    assert found.unlikeness is None and all(0 <= share <= 1 for _, share in found.alternatives)
    assert list(captioning.stream(slot, PHOTO))
    *_, shown = slot.stream(lambda held: captioning._write_all(held, PHOTO, True, 0.8, 5))
    tells = make is tiny_models.vit_gpt2
    assert ("does not tell where" in shown) != tells and ("Point at a word" in shown) == tells


def test_a_captioner_that_is_given_a_prompt_goes_on_from_it(hub, lab, models):
    slot = lab.slots["captions"]
    plain = models.use(slot, "tiny/git")
    told = models.use(slot, "tiny/git", Wishes(prompt="a dog"))
    assert told.id != plain.id and told.predictor.prompt == "a dog"
    assert captioning.caption(slot, PHOTO).text


def test_an_encoder_and_a_decoder_joined_are_told_nothing(hub, lab, models):
    slot = lab.slots["captions"]
    assert not models.describe(slot, "tiny/vit-gpt2").takes_prompt
    assert models.describe(slot, "tiny/blip").takes_prompt
    held = models.use(slot, "tiny/vit-gpt2", Wishes(prompt="a dog"))
    assert held.id == models.use(slot, "tiny/vit-gpt2").id


def test_who_stops_reading_ends_the_writing(hub, lab, models):
    held = models.use(lab.slots["captions"], "tiny/blip")
    before = threading.active_count()
    words = held.predictor.write(held.predictor.encode(PHOTO), 400)
    next(words)
    words.close()
    assert threading.active_count() <= before


@pytest.mark.parametrize("name, framing", [("digits", "digit"), ("fashion", "garment")])
def test_a_classifier_of_ten_classes_sees_drawings(hub, lab, models, name, framing):
    held = models.use(lab.slots[name], "tiny/ten")
    answer = digits.classify(lab.slots[name], drawing())
    assert answer.checkpoint == held.id and len(answer.confidences) == 10
    assert held.predictor.framing == framing and answer.seen.shape == (28, 28)


def test_this_projects_own_networks_come_back_from_the_hub(hub, lab, models):
    folder = hub.root / "odd" / "digits"
    shutil.copytree(checkpoint.embedded("digits").path, folder)
    slot = lab.slots["digits"]
    before = digits.classify(slot, drawing())
    models.use(slot, "odd/digits")
    after = digits.classify(slot, drawing())
    assert after.confidences == pytest.approx(before.confidences, abs=1e-6)
    assert after.checkpoint.startswith("odd/digits@") and after.unlikeness is not None
    shutil.rmtree(folder)


# -- downloads -------------------------------------------------------------------------------------
def test_progress_is_told_in_bytes(hub, lab, models):
    heard = []
    models.use(lab.slots["food"], "tiny/vit", tell=lambda *given: heard.append(given))
    found = models.describe(lab.slots["food"], "tiny/vit")
    told = [done for done, total in heard if total == found.bytes]
    assert told == sorted(told) and told[0] == 0 and told[-1] == found.bytes
    assert len(told) == len(heard) and models.under_way is None


def test_every_page_shows_the_download_and_how_to_end_it(hub, runs):
    with fresh_app(runs) as blocks:
        lab = blocks.lab
        seen = []

        def tell(done, total):
            seen.append(str(handler(blocks, "look")("", "")))

        lab.hub.use(lab.slots["food"], "tiny/vit", tell=tell)
        assert "Downloading tiny/vit: &lt; 0.1 MB of 0.1 MB" in seen[0]
        assert "Downloading" not in str(handler(blocks, "look")("", ""))


def test_a_cancelled_download_keeps_whole_files_and_goes_on_from_them(
    hub, lab, models, tmp_path, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 12)

    def stop(done, total):
        if any((tmp_path / "cache").rglob("*.incomplete")) and done > 3000:
            models.cancel()

    with pytest.raises(Cancelled) as told:
        models.use(lab.slots["food"], "tiny/vit", tell=stop)
    assert "tiny/vit" in str(told.value) and is_a_sentence(str(told.value))
    assert not published.list_added(lab.runs) and lab.slots["food"].active_id == "embedded-food"
    kept = {each.name for each in (tmp_path / "cache").rglob("snapshots/*/*")}
    assert kept == {"config.json", "preprocessor_config.json"}
    assert not [*(tmp_path / "cache").rglob("*.incomplete")]
    hub.asked.clear()
    models.use(lab.slots["food"], "tiny/vit")
    fetched = [each for each in hub.asked if each.startswith("GET") and "/resolve/" in each]
    assert [each.rpartition("/")[2] for each in fetched] == ["config.json", "model.safetensors"], (
        "config.json is read for the description"
    )


def test_a_broken_line_is_said_and_leaves_nothing_half(hub, lab, models, tmp_path, monkeypatch):
    from huggingface_hub import constants

    def break_off(name, file, sent):
        if file == "model.safetensors" and sent:
            hub.root = tmp_path / "nothing"  # and nobody answers again
            raise ConnectionError

    root = hub.root
    hub.sending = break_off
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    with pytest.raises(SwapError) as told:
        models.use(lab.slots["food"], "tiny/vit")
    assert "tiny/vit" in str(told.value) and is_a_sentence(str(told.value))
    assert not published.list_added(lab.runs) and not [*(tmp_path / "cache").rglob("*.incomplete")]
    hub.root, hub.sending = root, None
    assert models.use(lab.slots["food"], "tiny/vit")


@pytest.mark.parametrize("where", ["cache", "runs"])
def test_a_full_disk_is_said_and_leaves_nothing_half(hub, lab, models, where, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "cache":
        monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    else:
        monkeypatch.setattr(hub_choice, "_take", refuse)
    with pytest.raises(SwapError) as told:
        models.use(lab.slots["food"], "tiny/vit")
    assert "disk is full" in str(told.value) and "tiny/vit" in str(told.value)
    assert not [*(lab.runs / "models").glob("*")]
    assert food.classify(lab.slots["food"], PHOTO).checkpoint == "embedded-food"


def test_what_does_not_fit_its_config_is_refused_and_goes_again(hub, lab, models, odd, tmp_path):
    tiny_models.change_config(odd("vit", "misfit"), id2label={"0": "a", "1": "b"})
    with pytest.raises(SwapError) as told:
        models.use(lab.slots["food"], "odd/misfit")
    assert str(told.value).startswith("odd/misfit was refused: its weights do not fit its config")
    assert str(told.value).endswith("Choose another model.")
    assert not published.list_added(lab.runs) and not [*(tmp_path / "cache").rglob("*.safetensors")]


def test_a_model_that_cannot_be_opened_is_called_as_the_person_wrote_it(
    hub, lab, models, odd, tmp_path
):
    (odd("wav2vec2", "deaf") / "preprocessor_config.json").write_text("{")
    with pytest.raises(SwapError) as told:
        models.use(lab.slots["audio"], "odd/deaf@main")
    assert str(told.value).startswith("odd/deaf@main was refused: ")
    assert hub.commit("odd/deaf") not in str(told.value) and str(tmp_path) not in str(told.value)


def test_one_is_downloaded_at_a_time(hub, lab, models):
    hub.sending = lambda *_: time.sleep(0.2)
    first = threading.Thread(target=models.use, args=(lab.slots["food"], "tiny/vit"))
    first.start()
    while not hub.asked:
        time.sleep(0.01)
    with pytest.raises(SwapError, match="tiny/vit is being downloaded at the moment"):
        models.use(lab.slots["food"], "tiny/resnet")
    first.join()
    assert lab.slots["food"].active_id.startswith("tiny/vit@")


# -- choices ---------------------------------------------------------------------------------------
def test_it_answers_after_a_restart_without_the_hub(hub, lab, models, monkeypatch):
    from huggingface_hub import constants

    held = models.use(lab.slots["food"], "tiny/vit")
    before = food.classify(lab.slots["food"], PHOTO)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    hub.asked.clear()
    slot = app.open_lab(lab.runs).slots["food"]
    after = food.classify(slot, PHOTO)
    assert after.checkpoint == held.id and not slot.notice and not hub.asked
    assert after.confidences == pytest.approx(before.confidences, abs=1e-6)


def test_it_is_one_of_the_choices_and_can_be_rolled_back(hub, lab, models):
    slot = lab.slots["food"]
    held = models.use(slot, "tiny/vit@main")
    assert held.id == f"tiny/vit@{hub.commit('tiny/vit')}" and held.checkpoint.kind == "hub"
    assert [each.kind for each in slot.list_checkpoints()] == ["embedded", "hub"]
    assert held.id not in {each.id for each in lab.slots["digits"].list_checkpoints()}
    assert slot.roll_back().id == "embedded-food"
    assert food.classify(slot, PHOTO, held.id).checkpoint == held.id, "to compare with"


def test_removing_tells_the_disk_that_it_frees_and_keeps_what_others_use(
    hub, lab, models, tmp_path
):
    slot = lab.slots["digits"]
    ten = models.use(slot, "tiny/ten")
    models.use(lab.slots["fashion"], "tiny/ten")
    with pytest.raises(SwapError, match="Digits uses tiny/ten now: choose Roll back first"):
        models.remove(slot, ten.id)
    slot.roll_back()
    assert models.remove(slot, ten.id) == 0, "fashion uses its files"
    assert digits.classify(lab.slots["fashion"], drawing()).checkpoint == ten.id
    lab.slots["fashion"].roll_back()
    freed = models.remove(lab.slots["fashion"], ten.id)
    assert freed > (hub.root / "tiny" / "ten" / "model.safetensors").stat().st_size
    assert not [*(tmp_path / "cache").rglob("*.safetensors")]
    assert not published.list_added(lab.runs)
    with pytest.raises(SwapError, match="There is no checkpoint"):
        slot.swap(ten.id)
    with pytest.raises(SwapError, match="holds no model"):
        models.remove(slot, ten.id)


def test_what_lay_in_the_cache_before_stays_there(hub, lab, models, tmp_path):
    found = models.describe(lab.slots["food"], "tiny/vit")
    hub_model.fetch(found)  # by another program, or for a training
    held = models.use(lab.slots["food"], "tiny/vit")
    lab.slots["food"].roll_back()
    assert models.remove(lab.slots["food"], held.id) == 0
    assert [*(tmp_path / "cache").rglob("*.safetensors")]


def test_files_that_left_the_cache_are_told_and_the_one_before_answers(hub, lab, models, tmp_path):
    held = models.use(lab.slots["food"], "tiny/vit")
    shutil.rmtree(tmp_path / "cache")
    slot = app.open_lab(lab.runs).slots["food"]
    assert food.classify(slot, PHOTO).checkpoint == "embedded-food"
    assert "tiny/vit is no longer in the Hub's cache" in slot.notice
    assert models.remove(slot, held.id) == 0


def test_a_damaged_record_is_no_choice_and_stops_nobody(hub, lab, models):
    held = models.use(lab.slots["food"], "tiny/vit")
    lab.slots["food"].roll_back()
    for text in ("{", "[]", json.dumps({"name": 3})):
        (held.checkpoint.path / published.RECORD).write_text(text)
        assert [each.kind for each in lab.slots["food"].list_checkpoints()] == ["embedded"]


# -- the page and the API --------------------------------------------------------------------------
def handler(blocks, name: str):
    return next(f.fn for f in blocks.fns.values() if f.api_name == name)


def test_a_program_describes_uses_compares_and_removes(hub, runs, tmp_path):
    PHOTO.save(tmp_path / "photo.png")
    from gradio_client import handle_file

    with served_app(runs) as blocks:
        assert not hub.asked, "nobody is asked at start"
        client = Client(blocks.local_url, verbose=False)
        told = client.predict("food", "tiny/clip", api_name="/describe_hub_model")
        assert told["task"] == hub_model.ZERO_SHOT and told["refusals"] == []
        used = client.predict("food", "tiny/clip", "ramen, pho", "", "", api_name="/use_hub_model")
        photo = handle_file(tmp_path / "photo.png")
        label, about = client.predict(photo, api_name="/classify_food")
        assert {each["label"] for each in label["confidences"]} == {"ramen", "pho"}
        assert about["checkpoint"] == used["active"]
        refused = client.predict("food", "tiny/blip", "", "", "", api_name="/use_hub_model")
        assert refused["active"] == used["active"] and "tiny/blip" in refused["error"]
        client.predict("food", "embedded-food", api_name="/swap")
        gone = client.predict("food", used["active"], api_name="/remove_hub_model")
        assert gone["freed"] > 0 and "free again" in gone["told"]
        client.close()


def test_where_training_is_off_nobody_downloads_and_the_page_says_why(hub, runs):
    with fresh_app(runs, training=False) as blocks:
        for name, given in (
            ("describe_hub_model", ("food", "tiny/vit")),
            ("use_hub_model", ("food", "tiny/vit")),
            ("remove_hub_model", ("food", "x")),
        ):
            with pytest.raises(Exception, match="Training is off here"):
                handler(blocks, name)(*given)
        shown = [
            each["props"]
            for each in blocks.config["components"]
            if "Models of the Hub are not tried" in str(each["props"].get("value"))
        ]
        assert len(shown) == 5 and all(each["visible"] for each in shown)
    assert not hub.asked


def test_the_page_is_opened_without_asking_the_hub(hub, runs):
    with fresh_app(runs) as blocks:
        handler(blocks, "look")("", "")
    assert not hub.asked


def test_a_run_is_compared_with_a_published_model_of_the_same_classes(hub, runs, lab, models):
    """The exam asks a zero-shot model like any other checkpoint."""
    from training.recipes.food.model import open_network

    held = models.use(lab.slots["food"], "tiny/clip", Wishes("ramen, pho"))
    (model, preprocessor) = open_network(held.checkpoint.path)
    import torch

    pixels = torch.zeros(2, 3, preprocessor.size, preprocessor.size, dtype=torch.uint8)
    found = preprocessor.predict_probabilities(model, pixels)
    assert found.shape == (2, 2)


def test_names_of_checkpoints_stay_apart_from_runs(runs, lab):
    run = left_by_a_run(runs, "food", "food", *tiny_models.vit(2))
    assert lab.slots["food"].find(run.id).kind == "run"
    with pytest.raises(SettingsError, match="no name on the Hub"):
        hub_model.describe(run.id, (hub_model.PICTURES,))
