"""A probe: multinomial logistic regression on features that a frozen backbone gave, solved to its
optimum, as the last linear layer of an ordinary head.

    probe = solve(features, Question(labels, classes))
    write_linear(linear, probe.solution)

Features are standardised, the penalty is L2 on the weights alone, and its strength is the one whose
loss is least on examples that were left out (stratified folds, what shows the same in one of
them). The standardisation is folded into the weights, so that nothing but a linear layer is left:
"linear probing", as Kornblith et al. 2019 (arXiv 1805.08974) and Kumar et al. 2022 (arXiv
2202.10054) do it. An optimum is better than what steps of SGD leave behind, needs no learning rate
and no epochs, and is there in seconds: the loss is convex.

Where a head answers already, such as one of sentences for the classes, the penalty can pull to it
in place of to nothing (`Question.begun`): few examples then change it little, many as much as it
takes (Silva-Rodriguez et al. 2024, arXiv 2312.12730).

It does not know of views: an example's mirror image is a row of its own, in the same group.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

FOLDS = 5
# Inverse strengths (scikit-learn's C, times the features' number: a sum of standardised features
# grows with it), the strongest penalty first: each is solved from the one before.
STRENGTHS = tuple(10 ** (power / 2) for power in range(-3, 9))
COARSE = STRENGTHS[3::3]  # by which kinds of features are compared
WORSE = 2  # strengths in a row after the best one, from which no better one is expected
MOST = 4000  # examples by which the strength is chosen; the penalty stays as it is with more
ENOUGH = 1000  # likewise, by which kinds of features are compared: which of them tells more
# Rows from which finding their principal directions costs more than it saves.
FEW = 2000
LARGE = 5 * 10**7  # numbers, from which 32 bits of each must do
# A mean gradient so small is the optimum: of the probe, and where strengths are compared.
FLAT = 1e-6
FLAT_ENOUGH = 1e-4
LONGEST = 2000  # steps to it
LIGHT = 5 * 10**7  # multiplications of a step, which several threads only delay

Beat = Callable[[], object]  # called at every step; may raise


@dataclass(frozen=True)
class Solution:
    """Logits are `x @ weights + bias`."""

    weights: np.ndarray  # (width, classes)
    bias: np.ndarray  # (classes,)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, classes) logits of (N, width)."""
        return x @ self.weights + self.bias


@dataclass(frozen=True)
class Choice:
    """A strength, and what it scores on rows that were left out."""

    strength: float  # the inverse of the penalty; scikit-learn's C, times the width
    loss: float = float("nan")  # mean
    accuracy: float = float("nan")
    folds: int = 0  # 0: too few examples to leave any out
    count: int = 0  # examples


@dataclass(frozen=True)
class Probe:
    """What was solved, for features as they came."""

    solution: Solution
    choice: Choice


@dataclass(frozen=True)
class Rows:
    """Features made ready for the solver."""

    x: np.ndarray  # (N, rank), standardised and turned to their principal directions
    labels: np.ndarray  # (N,)
    weights: np.ndarray  # (N,) what each counts in the loss; their mean is 1
    groups: np.ndarray  # (N,)
    begun: np.ndarray  # (N, classes) logits that are added, or (N, 1) noughts

    def __getitem__(self, at: np.ndarray) -> "Rows":
        return Rows(self.x[at], self.labels[at], self.weights[at], self.groups[at], self.begun[at])


@dataclass(frozen=True)
class Question:
    """Rows whose class is to be told by a linear layer, whatever is known of them."""

    labels: np.ndarray  # (N,)
    classes: int
    weights: np.ndarray | None = None  # (classes,) what an example of each counts
    groups: np.ndarray | None = None  # (N,) rows of one group are never parted by a fold
    begun: Solution | None = None  # to which the penalty pulls


def solve(
    features: np.ndarray,
    asked: Question,
    strengths: Sequence[float] = STRENGTHS,
    beat: Beat = int,
) -> Probe:
    """The probe of (N, width) features. A class without examples is never the answer."""
    (rows, mean, scale, turn) = _make_rows(features, asked)
    with _threads(rows, asked.classes):
        choice = choose_strength(rows, strengths, beat)
        found = minimise(rows, choice.strength, beat=beat)
    inner = found.weights if turn is None else turn @ found.weights
    inner = inner / scale[:, None]
    known = np.unique(asked.labels)
    outer = np.zeros((features.shape[1], asked.classes))
    outer[:, known] = inner
    # The rows of weights sum to nothing, so a class of which nothing is known never leads.
    bias = np.full(asked.classes, found.bias.mean() - np.log(len(asked.labels) + 1))
    bias[known] = found.bias - mean @ inner
    if asked.begun is not None:
        (weights, offset) = _centre(asked.begun, known)
        outer[:, known] += weights
        bias[known] += offset
    return Probe(Solution(outer, bias), choice)


def compare(features: np.ndarray, asked: Question, beat: Beat = int) -> Choice:
    """How much these (N, width) features tell, by a few strengths."""
    (rows, *_) = _make_rows(features, asked)
    with _threads(rows, asked.classes):
        return choose_strength(_thin_out(rows, ENOUGH), COARSE, beat)


def _threads(rows: Rows, classes: int) -> AbstractContextManager[object]:
    few = rows.x.size * classes < LIGHT
    return threadpool_limits(1) if few else nullcontext()


AS_BEGUN = "class names"
AFRESH = "nothing"


# -- heads -----------------------------------------------------------------------------------------
class Head(Protocol):
    """The top of a network, as the probe sees it."""

    kind: str  # what the kinds of features that it offers differ by

    def offer(self, features: Tensor) -> dict[str, Tensor]:
        """What its linear layer can be given of kept features, (N, width) each, by a name that a
        person reads; the probe chooses where there are several."""
        ...

    def begin(self, name: str) -> Solution | None:
        """To what the solution for the features of that name is pulled; None: to nothing."""
        ...

    def write(self, name: str, solution: Solution) -> None:
        """Makes the layer answer as a solution for the features of that name."""
        ...


class LinearHead:
    """A head whose last layer is linear and the only one that learns what is new: what stands
    before it only shapes or scales. With `begun`, it answers already, and what is solved may begin
    with that."""

    kind = "beginning"

    def __init__(self, head: nn.Module, linear: nn.Linear, begun: bool = False):
        self.head = head
        self.linear = linear
        self.begun = read_linear(linear) if begun else None

    def offer(self, features: Tensor) -> dict[str, Tensor]:
        given = self._find_received(features)
        # The first is taken where examples are too few to tell which is better.
        return {"": given} if self.begun is None else {AS_BEGUN: given, AFRESH: given}

    @torch.no_grad()
    def _find_received(self, features: Tensor) -> Tensor:
        """What the linear layer is given."""
        if self.head is self.linear:
            return features
        caught: list[Tensor] = []
        hook = self.linear.register_forward_pre_hook(
            lambda _, inputs: caught.append(inputs[0].detach().cpu())
        )
        self.head.eval()
        where = self.linear.weight.device
        try:
            for part in features.split(1024):
                self.head(part.to(where))
        finally:
            hook.remove()
        return torch.cat(caught)

    def begin(self, name: str) -> Solution | None:
        return self.begun if name == AS_BEGUN else None

    def write(self, name: str, solution: Solution) -> None:
        write_linear(self.linear, solution)


def find_linear(head: nn.Module, begun: bool = False) -> LinearHead | None:
    """None where the head is more than a linear layer behind what shapes or scales. `begun`:
    whether it answers already."""
    learning = [m for m in head.modules() if next(m.parameters(recurse=False), None) is not None]
    if not learning or not isinstance(learning[-1], nn.Linear):
        return None
    scales = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    if not all(isinstance(module, scales) for module in learning[:-1]):
        return None
    return LinearHead(head, learning[-1], begun)


# -- features --------------------------------------------------------------------------------------
def _make_rows(
    features: np.ndarray, asked: Question
) -> tuple[Rows, np.ndarray, np.ndarray, np.ndarray | None]:
    """Ready for the solver; the mean and the scale by which they were made, (width,), and the
    directions that they were turned to."""
    labels = asked.labels
    (x, mean, scale) = _standardise(features)
    turn = _find_directions(x)
    counts = np.ones(len(labels)) if asked.weights is None else asked.weights[labels]
    rows = Rows(
        x if turn is None else x @ turn,
        np.unique(labels, return_inverse=True)[1],
        (counts / counts.mean()).astype(x.dtype),
        np.arange(len(labels)) if asked.groups is None else asked.groups,
        _answer_begun(features, asked).astype(x.dtype),
    )
    return rows, mean, scale, turn


def _answer_begun(features: np.ndarray, asked: Question) -> np.ndarray:
    """(N, classes that there are) logits of what is begun with; (N, 1) noughts without it."""
    if asked.begun is None:
        return np.zeros((len(features), 1))
    (weights, offset) = _centre(asked.begun, np.unique(asked.labels))
    return features @ weights + offset


def _centre(begun: Solution, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias for the classes that there are, which sum to nothing, as a solution's do."""
    weights = begun.weights[:, known]
    offset = begun.bias[known]
    return weights - weights.mean(1, keepdims=True), offset - offset.mean()


def _standardise(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, width) in as many bits as fit, and the mean and the scale by which it was made. Divided
    by the root of the width too, so that one strength means the same for any."""
    x = features.astype(np.float64 if features.size < LARGE else np.float32)
    mean = x.mean(0)
    spread = x.std(0)
    # What hardly varies tells nothing, and would be blown up to noise.
    spread[spread <= 1e-6 * max(spread.max(), 1e-30)] = np.inf
    scale = spread * np.sqrt(x.shape[1])
    return (x - mean) / scale, mean, scale


def _find_directions(x: np.ndarray) -> np.ndarray | None:
    """(width, rank), an orthonormal basis of all that the rows hold, where they are fewer than
    they are wide: the optimum lies in it, since the penalty is the same in every direction. Of 300
    rows of 1,280 features a solution takes a twentieth of the time."""
    (count, width) = x.shape
    if count >= width or count > FEW:
        return None
    (values, vectors) = np.linalg.eigh(x @ x.T)
    held = values > max(values[-1], 1e-30) * 1e-10
    return x.T @ (vectors[:, held] / np.sqrt(values[held]))


# -- the strength ----------------------------------------------------------------------------------
def deal_folds(labels: np.ndarray, groups: np.ndarray, folds: int) -> np.ndarray:
    """(N,) which fold each row is in: every class spread evenly, the rows of a group in one. No
    run's seed has a say in it."""
    (names, first, inside) = np.unique(groups, return_index=True, return_inverse=True)
    mixed = np.random.default_rng(0).permutation(len(names))
    order = mixed[np.argsort(labels[first][mixed], kind="stable")]
    fold = np.empty(len(names), np.int64)
    fold[order] = np.arange(len(names)) % folds
    return fold[inside]


def choose_strength(rows: Rows, strengths: Sequence[float], beat: Beat = int) -> Choice:
    """The one whose loss is least on rows that were left out."""
    rows = _thin_out(rows, MOST)
    count = len(np.unique(rows.groups))
    folds = min(FOLDS, count)
    fold = deal_folds(rows.labels, rows.groups, folds)
    parts = [fold == number for number in range(folds)]
    # What no row of the others shows cannot be known.
    asked = [held & np.isin(rows.labels, rows.labels[~held]) for held in parts]
    if not any(some.any() and len(np.unique(rows.labels[~some])) > 1 for some in asked):
        return Choice(strengths[len(strengths) // 2])
    before: list[Solution | None] = [None] * folds
    best: Choice | None = None
    since = 0
    for strength in strengths:
        losses: list[np.ndarray] = []
        right: list[np.ndarray] = []
        for number, (held, some) in enumerate(zip(parts, asked, strict=True)):
            found = minimise(rows[~held], strength, before[number], beat, FLAT_ENOUGH)
            before[number] = found
            logits = found(rows.x[some]) + rows.begun[some]
            labels = rows.labels[some]
            losses.append(-_log_softmax(logits)[np.arange(len(labels)), labels])
            right.append(logits.argmax(1) == labels)
        shares = np.concatenate([rows.weights[some] for some in asked])
        loss = float(np.average(np.concatenate(losses), weights=shares))
        since += 1
        if best is None or loss < best.loss:
            accuracy = float(np.concatenate(right).mean())
            best = Choice(strength, loss, accuracy, folds, count)
            since = 0
        if since == WORSE:
            break
    assert best is not None
    return best


def _thin_out(rows: Rows, most: int) -> Rows:
    """At most so many groups of them, each class by its share."""
    (names, first) = np.unique(rows.groups, return_index=True)
    if len(names) <= most:
        return rows
    fold = deal_folds(rows.labels[first], names, -(-len(names) // most))
    return rows[np.isin(rows.groups, names[fold == 0])]


# -- the solver ------------------------------------------------------------------------------------
def minimise(
    rows: Rows,
    strength: float,
    start: Solution | None = None,
    beat: Beat = int,
    flat: float = FLAT,
) -> Solution:
    """The optimum, from `start` on.

    L-BFGS, since it needs gradients alone; scipy's own: torch's spends more on Python than a small
    problem's sums take, and scikit-learn's, which runs on scipy's, cannot be stopped in its midst.
    To one optimum, n 300, rank 299, 3 classes: 20 ms (torch's 55, scikit-learn's 30, its
    newton-cholesky 800); n 80, rank 79, 4 classes: 8 ms (50, 13, 20); n 3,000, width 400, 101
    classes: 2.0 s (1.0, 1.0); two shared cores, 2026-11.
    """
    from scipy.optimize import minimize  # it takes a moment to load

    x = rows.x
    (count, rank) = x.shape
    classes = int(rows.labels.max()) + 1
    at = np.arange(count)
    shares = rows.weights / count
    penalty = 1 / (strength * count)

    def evaluate(both: np.ndarray) -> tuple[float, np.ndarray]:
        beat()
        table = both.reshape(rank + 1, classes).astype(x.dtype, copy=False)
        weights = table[:-1]
        log = _log_softmax(x @ weights + table[-1] + rows.begun)
        loss = penalty / 2 * np.square(weights).sum() - log[at, rows.labels] @ shares
        error = np.exp(log)
        error[at, rows.labels] -= 1
        error *= shares[:, None]
        slope = np.empty((rank + 1, classes))
        slope[:-1] = x.T @ error + penalty * weights
        slope[-1] = error.sum(0)
        return float(loss), slope.ravel()

    begun = np.zeros((rank + 1, classes))
    if start is not None and start.bias.shape == (classes,):
        begun[:-1] = start.weights
        begun[-1] = start.bias
    found = minimize(
        evaluate,
        begun.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": LONGEST, "maxfun": 2 * LONGEST, "gtol": flat, "ftol": flat * 1e-6},
    )
    table = found.x.reshape(rank + 1, classes)
    return Solution(table[:-1], table[-1])


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


@torch.no_grad()
def write_linear(linear: nn.Linear, solution: Solution) -> None:
    """Puts a solution into a linear layer, in place."""
    linear.weight.copy_(torch.from_numpy(solution.weights.T.copy()))
    if linear.bias is not None:
        linear.bias.copy_(torch.from_numpy(solution.bias))


def read_linear(linear: nn.Linear) -> Solution:
    """What a linear layer answers."""
    weights = linear.weight.detach().cpu().double().numpy()
    bias = linear.bias
    noughts = np.zeros(linear.out_features)
    return Solution(
        weights.T.copy(), noughts if bias is None else bias.detach().cpu().double().numpy().copy()
    )
