"""The Captioning tab: the handlers alone, streaming, what each word attended to, every kind of
picture."""

import gradio as gr
import numpy as np
import pytest
import torch
from albums import TINY, captioner, published, sentences
from photos import BAD, GOOD, photo
from PIL import Image

from demos import captioning as tab
from demos.heat_map import veil
from demos.serving.model_slot import ModelSlot, SwapError
from demos.slot_view import NOTHING
from training.runs.checkpoint import embedded

ASKED = (False, 0.8, 10)  # what the page sends beside: drawing, temperature, maximum length


@pytest.fixture
def slot(runs):
    """The tab's slot, with runs of its own."""
    return ModelSlot("captions", tab.CaptionPredictor, runs)


@pytest.fixture
def tiny(slot, runs):
    return published(runs, "vit", sentences()).id


def test_a_caption_is_the_best_of_beam_search_with_its_alternatives(slot):
    found = tab.caption(slot, photo())
    assert (
        found.text
        and found.text == found.alternatives[0][0]
        and found.checkpoint == "embedded-captions"
    )
    assert len(found.alternatives) == tab.ALTERNATIVES and found.milliseconds > 0
    shares = [share for _, share in found.alternatives]
    assert shares == sorted(shares, reverse=True) and all(0 < share < 1 for share in shares)


def test_the_embedded_captioner_is_small_and_ours_is_what_the_library_writes(slot):
    path = embedded("captions").path
    assert sum(p.stat().st_size for p in path.iterdir()) < 25e6
    predictor = slot.get().predictor
    states = predictor.encode(photo())
    with torch.inference_mode():
        from transformers.modeling_outputs import BaseModelOutput

        greedy = predictor.model.generate(
            encoder_outputs=BaseModelOutput(states), num_beams=1, do_sample=False
        )
    *_, ids = predictor.write(states, tab.LONGEST)
    assert predictor.text(ids) == predictor.text(greedy[0].tolist())


def test_what_tells_attention_has_the_same_weights_once_and_leaves_writing_to_the_quick_kind(slot):
    predictor = slot.get().predictor
    writes, tells = predictor.model.decoder, predictor.teller
    assert [p.data_ptr() for p in writes.parameters()] == [p.data_ptr() for p in tells.parameters()]
    assert (
        writes.config._attn_implementation == "sdpa"
        and tells.config._attn_implementation == "eager"
    )


def test_the_greedy_caption_grows_word_by_word(slot):
    said = []
    predictor = slot.get().predictor
    for ids in predictor.write(predictor.encode(photo()), tab.LONGEST):
        said.append(predictor.text(ids))
    assert len(said) > 2 and all(
        later.startswith(earlier) for earlier, later in zip(said, said[1:], strict=False)
    )


def test_drawing_depends_on_its_seed_and_its_temperature(slot):
    predictor = slot.get().predictor
    states = predictor.encode(photo())

    def drawn(temperature: float, seed: int) -> list[int]:
        return list(predictor.write(states, 12, temperature, seed))[-1]

    assert drawn(1.0, 1) == drawn(1.0, 1) != drawn(1.0, 2)
    assert drawn(1e-5, 1) == drawn(1e-5, 2) == list(predictor.write(states, 12))[-1]


@pytest.mark.parametrize("kind", list(TINY))
def test_every_kind_of_encoder_shows_what_a_word_attended_to(slot, runs, kind):
    run = published(runs, kind, sentences())
    predictor = slot.get(run.id).predictor
    states = predictor.encode(photo())
    ids = predictor.preprocessor.tokenize(["two red birds"], 20)[0][:-1]
    heat = predictor.attend(states, ids)
    assert heat.shape[0] == len(ids) and heat.shape[1] == heat.shape[2] >= 2 and (heat >= 0).all()
    places = states.shape[1]
    assert heat.sum() <= len(ids) + 1e-4 and (kind == "vit") == (heat[0].size == places - 1)
    shown = tab._show_attention(predictor, states, ids, photo())
    assert shown.count('class="word"') == 3 and shown.count("data:image") == 4


def test_a_veil_is_clear_where_nothing_counted_and_bright_where_most_did():
    heat = np.zeros((4, 4))
    heat[1, 2] = 1
    picture = np.asarray(veil(heat))
    y, x = np.unravel_index(picture[..., :3].sum(2).argmax(), picture.shape[:2])
    assert picture.shape == (32, 32, 4) and 8 <= y < 16 and 16 <= x < 24
    assert picture[..., 3].min() < 100 < picture[..., 3].max()
    assert veil(np.ones((2, 2))).size == (32, 32)


def test_another_checkpoint_answers_beside_and_both_name_themselves(slot, tiny, tmp_path):
    photo().save(tmp_path / "a.png")
    shown = list(tab.ask_on_page(slot)(str(tmp_path / "a.png"), "active", tiny, *ASKED))
    assert len(shown) > 4 and all(len(each) == 2 for each in shown)
    assert "growing" in shown[0][0] and "notice" in shown[0][1]
    assert all("attended" in part and "Percentages" in part for part in shown[-1])
    assert "Built-in" in shown[-1][0] and slot.get(tiny).name in shown[-1][1]


def test_a_drawn_caption_stands_with_the_others(slot, tmp_path):
    photo().save(tmp_path / "a.png")
    *_, shown = tab.ask_on_page(slot)(str(tmp_path / "a.png"), "active", NOTHING, True, 0.7, 10)
    assert "sampled, T = 0.7" in shown[0] and shown[1] == ""


def test_answering_can_be_left_in_its_midst(slot, tmp_path):
    photo().save(tmp_path / "a.png")
    growing = tab.ask_on_page(slot)(str(tmp_path / "a.png"), "active", NOTHING, *ASKED)
    next(growing)
    growing.close()
    with pytest.raises(StopIteration):
        next(growing)


def test_a_checkpoint_without_words_is_refused(slot, runs):
    run = published(runs, "vit", sentences())
    (run.checkpoint / "tokenizer.json").unlink()
    (run.checkpoint / "tokenizer_config.json").unlink()
    with pytest.raises(SwapError, match="does not hold its words"):
        tab.caption(slot, photo(), run.id)


def test_what_is_said_is_shown_and_never_run(slot, runs, monkeypatch, tmp_path):
    photo().save(tmp_path / "a.png")
    monkeypatch.setattr(tab.CaptionPredictor, "text", lambda *_: "<script>alert(1)</script>")
    *_, shown = tab.ask_on_page(slot)(str(tmp_path / "a.png"), "active", NOTHING, *ASKED)
    assert "<script" not in shown[0] and "&lt;script" in shown[0]


# -- the endpoints ---------------------------------------------------------------------------------
def test_the_endpoints_return_the_best_and_stream_the_greedy_one(slot, tmp_path):
    photo().save(tmp_path / "a.png")
    text, about = tab.endpoint(slot)(str(tmp_path / "a.png"))
    assert text == about["captions"][0]["text"] and about["checkpoint"] == "embedded-captions"
    grown = list(tab.streaming_endpoint(slot)(str(tmp_path / "a.png")))
    assert len(grown) > 2 and grown[-1].startswith(grown[0])


@pytest.mark.parametrize("name", list(GOOD))
def test_every_kind_of_picture_is_captioned(slot, tiny, tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name]())
    text, about = tab.endpoint(slot)(str(tmp_path / name), tiny)
    assert isinstance(text, str) and about["checkpoint"] == tiny


@pytest.mark.parametrize("name", list(BAD))
def test_what_is_no_picture_gets_a_sentence(slot, tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    for asked in (tab.endpoint(slot), lambda path: list(tab.streaming_endpoint(slot)(path))):
        with pytest.raises(gr.Error) as error:
            asked(str(tmp_path / name))
        assert name in str(error.value)
    assert (
        "notice bad"
        in next(tab.ask_on_page(slot)(str(tmp_path / name), "active", NOTHING, *ASKED))[0]
    )


def test_no_picture_gets_a_friendly_line(slot):
    assert list(tab.ask_on_page(slot)(None, "active", NOTHING, *ASKED)) == [
        [tab.page.notice(tab.EMPTY), ""]
    ]
    with pytest.raises(gr.Error, match="There is no picture"):
        tab.endpoint(slot)(None)


def test_nothing_said_is_shown_as_such(slot, tiny):
    predictor = slot.get(tiny).predictor
    states = predictor.encode(Image.new("RGB", (30, 30)))
    assert "(no words)" in tab._show_attention(predictor, states, [], photo())


def test_a_captioner_is_what_the_slot_takes_and_nothing_else(slot, runs):
    model, preprocessor = captioner("swin", sentences())
    from conftest import left_by_a_run

    good = left_by_a_run(runs, "captioning", "captions", model, preprocessor)
    assert slot.swap(good.id).id == good.id
    bad = left_by_a_run(runs, "captioning", "captions", model.encoder, preprocessor)
    with pytest.raises(SwapError, match="refused"):
        slot.swap(bad.id)
    assert slot.active_id == good.id
