"""How rents are scored: R², the share of their variance that is explained."""

from pathlib import Path

import numpy as np
from scipy import stats
from training.recipes.rents.config import R2
from training.recipes.rents.data import stack
from training.recipes.rents.model import RentsNetConfig, open_network, predict_rents

from training.data.examples import Data
from training.judge.exam import Exam, Findings
from training.judge.records import Score, Table, Text
from training.runs import checkpoint
from training.runs.run import Run

SIZES = (20, 60, 100, 141)  # m²: where the report's groups of flats end
SHOWN = 5  # flats that are farthest off


def compute_r2(rents: np.ndarray, found: np.ndarray, axis: int = -1) -> np.ndarray:
    """Of the last axis, whatever stands before it: the bootstrap draws many samples at once."""
    left = np.square(found - rents).sum(axis)
    return 1 - left / np.square(rents - rents.mean(axis, keepdims=True)).sum(axis)


def make_exam(data: Data[np.ndarray]) -> Exam[np.ndarray]:
    """What a checkpoint answers is the rents of the test flats, (N,)."""
    flats = stack(data.test)
    rents = flats[:, 4]

    def predict(path: Path, run: Run | None) -> np.ndarray:
        return predict_rents(open_network(path), flats[:, :4])

    def score(found: np.ndarray) -> Score:
        drawn = stats.bootstrap(
            (rents, found),
            compute_r2,
            paired=True,
            n_resamples=1000,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        low, high = drawn.confidence_interval
        more = {"mean_error": round(float(np.abs(found - rents).mean()), 2)}
        value = float(compute_r2(rents, found))
        return Score(R2, value, (float(low), float(high)), len(rents), more)

    def find_refusal(path: Path) -> str:
        if checkpoint.config(path).get("model_type") == RentsNetConfig.model_type:
            return ""
        return "The checkpoint does not predict rents."

    def find(found: np.ndarray, before: Score | None, after: Score, folder: Path) -> Findings:
        return Findings(
            [describe_sizes(flats, found), list_farthest(flats, found)],
            [f"The mean error is {after.more['mean_error']:.0f} € a month."],
            chance=0.0,  # of always saying the mean rent
        )

    return Exam(
        "flats",
        data.about,
        R2,
        predict,
        score,
        find_refusal,
        lambda path: not find_refusal(path),
        find,
        data.problems,
    )


def describe_sizes(flats: np.ndarray, found: np.ndarray) -> Table:
    rows: list[list[str | float | None]] = []
    for low, high in zip(SIZES, SIZES[1:], strict=False):
        those = (flats[:, 0] >= low) & (flats[:, 0] < high)
        error = np.abs(found - flats[:, 4])[those]
        mean = round(float(error.mean())) if those.any() else None
        rows.append([f"{low} to {high - 1} m²", int(those.sum()), mean])
    return Table("Error by size", ["Size", "Flats", "Mean error, €"], rows)


def list_farthest(flats: np.ndarray, found: np.ndarray) -> Text:
    worst = np.argsort(-np.abs(found - flats[:, 4]))[:SHOWN]
    return Text(
        "Largest errors",
        [
            f"{flats[i, 0]:.0f} m², {flats[i, 3]:.0f} years old: **{found[i]:,.0f} €** predicted, "
            f"{flats[i, 4]:,.0f} € paid"
            for i in worst
        ],
    )
