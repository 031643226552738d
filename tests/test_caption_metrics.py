"""The figures of captions: against the coco-caption code's numbers, against sums by hand, and by
their properties."""

import math
import time
import unicodedata
import warnings

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from training.recipes.captioning import metrics as caption_metrics
from training.recipes.captioning.metrics import cider_d, interval, rouge_l, scores, words

SAID = [
    "a dog runs along the beach",
    "two people ride bicycles down a city street at night",
    "a man a man holding a red umbrella",
    "",
    "a cat",
]
REFERENCES = [
    [
        "a brown dog runs along the beach",
        "a dog running on the sand near the sea",
        "the dog is running along the water",
    ],
    ["two people riding bicycles down a street"],
    ["a man holding an umbrella in the rain", "a man in a coat holds a red umbrella"],
    ["a plate of food on a table", "the table holds a plate of pasta"],
    [
        "a cat sits on a red sofa",
        "a cat is sleeping on the sofa at night",
        "cat",
        "a black cat on a couch",
    ],
]


def test_figures_are_those_of_coco_caption():
    # Cider and Rouge of pycocoevalcap 1.2, computed once from the sentences above.
    assert cider_d(SAID, REFERENCES) == pytest.approx(
        [3.1987168165, 2.7506898755, 2.2474333635, 0, 1.5966532204], abs=1e-9
    )
    assert rouge_l(SAID, REFERENCES) == pytest.approx(
        [0.9104477612, 0.7290836653, 0.6984732824, 0, 1], abs=1e-9
    )
    found = scores(SAID, REFERENCES)
    assert found["cider_d"] == 1.9587 and found["rouge_l"] == 0.6676
    assert found["n"] == found["distinct"] == 5 and found["length"] == 5.2
    assert found["cider_d_interval"] == interval(cider_d(SAID, REFERENCES))


def test_cider_d_by_hand():
    # Two pictures, L = log 2. `a` is said of both: log(2 / 2) = 0. All other n-grams are said of
    # one: L.
    said = ["a red ball", "a blue blue box"]
    references = [["a red ball", "a green cone"], ["a blue box"]]
    # Picture 1, reference 1: the same for n = 1, 2, 3: cosine 1 each; no n-gram of four words: 0.
    # Mean 3 / 4.            reference 2: only `a` in common, whose weight is 0.  Mean 0.
    first = 10 * (3 / 4 + 0) / 2
    # Picture 2, n = 1: caption (blue 2L, box L), reference (blue L, box L). Clipped product: L * L
    # + L * L = 2 L².                   Lengths sqrt(4 + 1) L and sqrt(1 + 1) L.           Cosine 2
    # / sqrt(10).            n = 2: (a blue, blue blue, blue box) and (a blue, blue box). Cosine 2 /
    # (sqrt(3) sqrt(2)).            n = 3: (a blue blue, blue blue box) and (a blue box): 0.  n = 4:
    # the reference has none: 0. One word longer than the reference: the penalty is exp(-1² / (2 *
    # 6²)).
    second = 10 * (2 / math.sqrt(10) + 2 / math.sqrt(6)) / 4 * math.exp(-1 / 72)
    assert cider_d(said, references) == pytest.approx([first, second], abs=1e-12)


def test_rouge_l_by_hand():
    # In common, in this order: `a man a red umbrella` wants more than reference 1 has (a man
    # umbrella: 3 of 8 words). Best precision 3 / 5; best recall 2 / 2, of the other reference (red
    # umbrella). F = 2.44 P R / (R + 1.44 P).
    found = rouge_l(
        ["a man a red umbrella"], [["a man holding an umbrella in the rain", "red umbrella"]]
    )
    assert found == pytest.approx([2.44 * 0.6 / (1 + 1.44 * 0.6)], abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_is_sacrebleus_own(order):
    said, told = (
        ["The dog runs.", "a cat on a mat, asleep", "", "it is a red house"],
        [
            ["A dog runs .", "the dog is running", "dog"],
            ["A cat asleep on a mat"],
            ["a plate"],
            ["it is the red house"],
        ],
    )
    streams = [[each[i] if i < len(each) else None for each in told] for i in range(3)]
    own = BLEU(lowercase=True, max_ngram_order=order).corpus_score(said, streams).score
    assert scores(said, told)[f"bleu{order}"] == pytest.approx(own, abs=1e-5) and own > 10


def test_the_captions_of_people_score_highest():
    told = [each[:1] for each in REFERENCES]
    found = scores([each[0] for each in told], told)
    assert found["cider_d"] == found["cider_d_interval"][0] == 10 and found["rouge_l"] == 1
    assert [found[f"bleu{n}"] for n in (1, 2, 3, 4)] == [100] * 4
    changed = scores(["a brown dog runs along the shore", *(each[0] for each in told[1:])], told)
    assert all(changed[name] < found[name] for name in ("bleu1", "bleu4", "rouge_l", "cider_d"))


def test_word_order_matters():
    turned = [" ".join(reversed(text.split())) for text in SAID]
    given, shuffle = scores(SAID, REFERENCES), scores(turned, REFERENCES)
    assert all(shuffle[name] < given[name] for name in ("bleu2", "bleu4", "rouge_l", "cider_d"))
    assert shuffle["bleu1"] == given["bleu1"]


def test_the_order_of_pictures_and_of_references_does_not():
    order = [3, 0, 4, 2, 1]
    said, told = [SAID[i] for i in order], [REFERENCES[i][::-1] for i in order]
    for figure in (cider_d, rouge_l):
        assert figure(said, told) == pytest.approx(figure(SAID, REFERENCES)[order], abs=1e-12)
    both = scores(SAID, REFERENCES), scores(said, told)
    for found in both:
        found.pop("cider_d_interval")  # its draws are by place
    assert both[0] == pytest.approx(both[1], abs=1e-5)


def test_saying_a_word_again_earns_nothing():
    told = [["a red umbrella"], ["a black cat"]]
    said = [cider_d(["umbrella " * times, "a black cat"], told)[0] for times in (1, 2, 5, 20)]
    assert said[0] > said[1] > said[2] > said[3] > 0
    assert (
        rouge_l(["umbrella umbrella", "a black cat"], told)[0]
        < rouge_l(["umbrella", "a black cat"], told)[0]
    )


def test_a_common_phrase_is_worth_less_than_a_rare_one():
    told = [["a man with a violin"], ["a man with a dog"], ["a man with a dog"], ["a lake"]]
    each = cider_d(["violin", "dog", "a man with a", ""], told)
    assert each[0] > each[1] > 0 == each[3]


@pytest.mark.parametrize("nothing", ["", "  ", "...", "\n", "-- ''"])
def test_an_empty_caption_scores_0_without_a_warning(nothing):
    found = scores([nothing] * 3, REFERENCES[:3])
    assert [found[name] for name in ("rouge_l", "cider_d", "length")] == [0, 0, 0] and found[
        "distinct"
    ] == 1
    assert all(found[f"bleu{n}"] == 0 for n in (1, 2, 3, 4))
    assert (
        cider_d([nothing, *SAID[1:]], REFERENCES)[0] == rouge_l([nothing], REFERENCES[:1])[0] == 0
    )


def test_an_empty_reference_is_no_match_of_an_empty_caption():
    for told in ([["", "a dog"], ["a cat"]], [[""], ["..."]]):
        assert cider_d(["", ""], told).tolist() == rouge_l(["", ""], told).tolist() == [0, 0]


def test_an_empty_reference_takes_nothing_from_rouge_and_a_share_from_cider():
    whole, holed = [["a dog"], ["a cat"]], [["a dog", ""], ["a cat"]]
    assert rouge_l(["a dog", "a cat"], holed).tolist() == [1, 1]
    assert cider_d(["a dog", "a cat"], holed)[0] == cider_d(["a dog", "a cat"], whole)[0] / 2 > 0


def test_of_a_single_picture_nothing_is_rare():
    found = scores(SAID[:1], REFERENCES[:1])
    assert (
        found["cider_d"] == 0
        and found["cider_d_interval"] == [0, 0]
        and found["rouge_l"] > 0.9
        and found["n"] == 1
    )


@pytest.mark.parametrize(
    "said, told",
    [
        ([], []),
        (["a dog"], []),
        (["a dog"], [[]]),
        (["a dog"], [["a"], ["b"]]),
        (["a dog", "a cat"], [["a dog"], []]),
    ],
)
@pytest.mark.parametrize("figure", [scores, cider_d, rouge_l, caption_metrics.bleu])
def test_a_picture_without_references_is_refused(figure, said, told):
    with pytest.raises(ValueError, match="at least one reference"):
        figure(said, told)


@pytest.mark.parametrize(
    "text, split",
    [
        ("A dog runs .", "a dog runs"),
        ('The T-shirt, it\'s "red"; (or so)!', "the t-shirt it 's red or so"),
        ("A man 's dog isn't here", "a man 's dog is n't here"),
        ("the dogs' bowls", "the dogs bowls"),
        ("‘Curly’ “quotes” — and the dog’s", "curly quotes and the dog 's"),
        ("red,blue:green", "red blue green"),
        ("3.5 m at 10:30, 1,000 birds ...", "3.5 m at 10:30 1,000 birds"),
        ("well -- wait...what", "well wait what"),
        ("5 o'clock - and/or", "5 o'clock and/or"),
        ("Ein GRÜNER Fußball", "ein grüner fußball"),
        ("हिन्दी में", "हिन्दी में"),
        (" \t\n", ""),
        ("'", ""),
    ],
)
def test_words(text, split):
    # The same as Stanford's PTBTokenizer gives, less coco-caption's list of punctuation; but it
    # keeps `-lrb-`.
    assert words(text) == unicodedata.normalize("NFC", split).split() and words(
        " ".join(words(text))
    ) == words(text)


def test_an_accent_is_the_same_in_either_form():
    text = "Un café à côté"
    assert words(unicodedata.normalize("NFD", text)) == words(text) == ["un", "café", "à", "côté"]
    assert words("cafe") != words("café")


def test_captions_that_differ_in_punctuation_are_not_different():
    found = scores(["A dog.", "a dog", "a cat"], [["a dog"], ["a dog"], ["a cat"]])
    assert found["distinct"] == 2 and found["cider_d"] == pytest.approx(5) and found["length"] == 2


def test_the_interval_is_the_bootstraps():
    values = np.random.default_rng(1).normal(0.8, 0.5, 400)
    low, high = interval(values)
    # Of a mean of many, near the normal one: 0.8 within 1.96 standard errors.
    error = 1.96 * values.std() / 20
    assert [low, high] == pytest.approx([values.mean() - error, values.mean() + error], abs=0.005)
    assert interval(values) == [low, high] != interval(values, seed=1)
    assert interval(np.full(7, 2.5)) == [2.5, 2.5] and interval(np.array([1.0])) == [1, 1]


@pytest.mark.parametrize("count", [2, 3, 40, 101, 400])
def test_the_interval_is_the_one_that_reports_hold_already(count):
    values = np.random.default_rng(count).gamma(1.0, 1.0, count)
    rng = np.random.default_rng(0)
    means = [values[rng.integers(count, size=count)].mean() for _ in range(1000)]
    assert interval(values) == [round(end, 5) for end in np.percentile(means, [2.5, 97.5])]


def test_a_thousand_pictures_take_no_time():
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"word{i}" for i in range(2000)])
    texts = [" ".join(vocabulary[(rng.zipf(1.3, 11) - 1) % 2000]) for _ in range(6000)]
    told = [texts[i : i + 5] for i in range(1000, 6000, 5)]
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scores(texts[:1000], told)
    assert found["n"] == 1000 and time.process_time() - begun < 8, (
        "4 s on one slow core, and as much again"
    )
