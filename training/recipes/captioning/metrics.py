"""The figures of written captions: BLEU by sacrebleu, ROUGE-L and CIDEr-D as the coco-caption code
defines them.

CIDEr-D carries that code's factor 10: a caption equal to the only reference gets 10, good models
score near 1.
"""

import re
import unicodedata
from collections import defaultdict
from itertools import chain, zip_longest
from typing import TypedDict, cast

import numpy as np

Words = list[str]

ORDERS = 4  # n-grams of 1 to 4 words
SIGMA = 6.0  # of CIDEr-D's penalty on a length unlike the reference's, in words
BETA = 1.2  # how much more ROUGE-L's F weighs recall than precision
ENDINGS = ("n't", "'s", "'m", "'d", "'re", "'ve", "'ll")

APART = re.compile(r'["“”„«»`‘()\[\]{}!?;…—–]|[-.]{2,}|[,:](?!\d)|(?<!\d)[,:]')
ENDING = re.compile(rf"(?<=\S)({'|'.join(ENDINGS)})(?!\S)")


def words(text: str) -> Words:
    """A caption's words, lower case and without punctuation, for all figures but BLEU's.

    A simple stand-in for coco-caption's Penn Treebank tokenizer: like it, it parts `dog 's` and `is
    n't` and keeps `t-shirt`, `3.5` and `o'clock`; unlike it, it drops every bracket, ends `u.s.` as
    `u.s` and leaves `cannot` and `$5` whole. A sentence in a language that is written without
    spaces is one word.
    """
    # One form of each accent, else é in two code points would differ from é in one.
    plain = APART.sub(" ", unicodedata.normalize("NFC", text.lower()).replace("’", "'"))
    whole = (word if word in ENDINGS else word.strip("-'.") for word in plain.split())
    return ENDING.sub(r" \1", " ".join(whole)).split()


class Figures(TypedDict):
    bleu1: float  # 0 to 100, as those below
    bleu2: float
    bleu3: float
    bleu4: float
    rouge_l: float  # 0 to 1
    cider_d: float
    length: float  # words a caption, on average
    cider_d_interval: list[float]
    distinct: int  # captions
    n: int  # pictures


def scores(said: list[str], references: list[list[str]]) -> Figures:
    """All figures. Raises ValueError, as all of these do, where a picture lacks references."""
    spoken, written = _split(said, references)
    each = _cider_d(spoken, written)
    found = {
        **bleu(said, references),
        "rouge_l": np.mean(_rouge_l(spoken, written)),
        "cider_d": each.mean(),
        "length": np.mean([len(text) for text in spoken]),
    }
    figures = {
        **{name: round(float(value), 5) for name, value in found.items()},
        "cider_d_interval": interval(each),
        "distinct": len(set(map(tuple, spoken))),
        "n": len(said),
    }
    return cast(Figures, figures)


def bleu(said: list[str], references: list[list[str]]) -> dict[str, float]:
    """Corpus BLEU (Papineni et al. 2002) with sacrebleu's own tokens (13a: punctuation counts) and
    smoothing."""
    from sacrebleu.metrics.bleu import BLEU

    _check(said, references)
    # Streams of one reference a picture; None where a picture has fewer. `force`: no advice on the
    # terminal.
    streams = list(zip_longest(*references))
    whole = BLEU(lowercase=True, force=True, max_ngram_order=ORDERS).corpus_score(said, streams)
    # Counting n-grams is what takes time: lower orders are worked out from the same counts.
    return {
        f"bleu{n}": BLEU.compute_bleu(
            whole.counts[:n],
            whole.totals[:n],
            whole.sys_len,
            whole.ref_len,
            smooth_method="exp",
            max_ngram_order=n,
        ).score
        for n in range(1, ORDERS + 1)
    }


def rouge_l(said: list[str], references: list[list[str]]) -> np.ndarray:
    """(N,) ROUGE-L (Lin 2004) of each picture: F of the best precision and the best recall over its
    references."""
    return _rouge_l(*_split(said, references))


def _rouge_l(said: list[Words], references: list[list[Words]]) -> np.ndarray:
    return np.array([_rouge(text, several) for text, several in zip(said, references, strict=True)])


def _rouge(said: Words, references: list[Words]) -> float:
    common = [_common(said, reference) for reference in references]
    if not any(common):
        return 0.0
    precision = max(common) / len(said)
    recall = max(
        count / len(reference)
        for count, reference in zip(common, references, strict=True)
        if reference
    )
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common(first: Words, second: Words) -> int:
    """Length of the longest common subsequence: a bit for each word of the first, cleared when a
    longer one ends there (Hyyrö 2004). Ten times as fast as the table of lengths."""
    where: dict[str, int] = {}
    for place, word in enumerate(first):
        where[word] = where.get(word, 0) | 1 << place
    row = every = (1 << len(first)) - 1
    for word in second:
        hit = row & where.get(word, 0)
        row = ((row + hit) | (row - hit)) & every
    return len(first) - row.bit_count()


def cider_d(said: list[str], references: list[list[str]]) -> np.ndarray:
    """(N,) CIDEr-D (Vedantam et al. 2015) of each picture; how rare an n-gram is, these references
    alone tell.

    So a picture's figure depends on the others, and alone it scores 0, as in coco-caption: whatever
    its references say, they say of all pictures.
    """
    return _cider_d(*_split(said, references))


def _cider_d(said: list[Words], references: list[list[Words]]) -> np.ndarray:
    """One row for each n-gram of each text: dictionaries, as in coco-caption, take twice as
    long."""
    n = len(said)
    several = [len(each) for each in references]
    texts = [*said, *chain.from_iterable(references)]
    owner = np.repeat(np.arange(n), several)
    text, gram, count, order = _rows(texts)
    of_reference = text >= n
    slots = (len(texts), ORDERS)
    # `same` joins a picture's caption and its references where they share an n-gram.
    pairs, same = np.unique(
        np.append(np.arange(n), owner)[text] * len(order) + gram, return_inverse=True
    )
    among = np.zeros(len(pairs), bool)
    own = np.zeros(len(pairs))
    among[same[of_reference]] = True
    pictures = np.bincount(pairs[among] % len(order), minlength=len(order))
    # What no reference says counts as if one did.
    weight = count * (np.log(n) - np.log(np.maximum(pictures, 1)))[gram]
    own[same[~of_reference]] = weight[~of_reference]
    clipped = np.minimum(own[same], weight) * weight  # saying a word again earns nothing
    squares, shared = (
        np.bincount(text * ORDERS + order[gram], values, np.prod(slots)).reshape(slots)
        for values in (weight**2, clipped)
    )
    norms = np.sqrt(squares[:n][owner] * squares[n:])
    cosines = np.divide(shared[n:], norms, out=np.zeros_like(norms), where=norms > 0).mean(1)
    length = np.array([len(split) for split in texts])
    penalty = np.exp(-((length[:n][owner] - length[n:]) ** 2) / (2 * SIGMA**2))
    return 10 * np.bincount(owner, cosines * penalty) / several


def _rows(texts: list[Words]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The text, the n-gram's number and how often it is there, a row for each; and n - 1 of each
    n-gram."""
    number: defaultdict[tuple[str, ...], int] = defaultdict(lambda: len(number))
    grams = [
        [
            number[gram]
            for n in range(1, ORDERS + 1)
            for gram in zip(*(text[i:] for i in range(n)), strict=False)
        ]
        for text in texts
    ]
    order = np.array([len(gram) - 1 for gram in number] or [0])
    where = np.repeat(np.arange(len(texts)), [len(each) for each in grams])
    found, count = np.unique(
        where * len(order) + np.fromiter(chain.from_iterable(grams), int), return_counts=True
    )
    return found // len(order), found % len(order), count, order


def interval(values: np.ndarray, seed: int = 0, draws: int = 1000) -> list[float]:
    """95% interval of the mean of values, one a picture: percentiles of the bootstrap (Efron
    1979). Of a single picture nothing can be drawn: its value, twice."""
    from scipy import stats  # a second to load, which only a report needs

    if len(values) < 2:
        return [round(float(values.mean()), 5)] * 2
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=draws,
        method="percentile",
        rng=np.random.default_rng(seed),
        batch=50,  # drawn at once: all at once would hold draws x N numbers, and is no faster
    )
    return [round(float(end), 5) for end in found.confidence_interval]


def _split(said: list[str], references: list[list[str]]) -> tuple[list[Words], list[list[Words]]]:
    _check(said, references)
    return [words(text) for text in said], [
        [words(text) for text in several] for several in references
    ]


def _check(said: list[str], references: list[list[str]]) -> None:
    if not said or len(said) != len(references) or not all(references):
        raise ValueError(
            f"{len(said)} captions against {len(references)} pictures' references: each picture "
            "needs a caption and at least one reference."
        )
