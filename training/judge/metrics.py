"""The figures of a classifier as `evaluate` metrics that need no network: accuracy, top 5, macro
F1.

`evaluate.load` fetches a script of the same few lines; these are scikit-learn's functions in its
interface. Importing evaluate takes seconds, so only what scores imports this.
"""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

CITATION = "Pedregosa et al. 2011, Scikit-learn: Machine Learning in Python, JMLR 12"


class Classification(evaluate.Metric):
    """Scores probabilities, (N, classes), against labels, (N,)."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {
                "predictions": datasets.Sequence(datasets.Value("float32")),
                "references": datasets.Value("int64"),
            }
        )
        return evaluate.MetricInfo(
            description="Accuracy, top 5 and macro F1.", citation=CITATION, features=features
        )

    def _compute(
        self,
        *,
        predictions: Sequence[Sequence[float]] | None = None,
        references: Sequence[int] | None = None,
        top5: bool = False,
        **others: object,
    ) -> dict[str, float]:
        probabilities = np.asarray(predictions)
        labels = np.asarray(references)
        said = probabilities.argmax(1)
        found = {
            "accuracy": accuracy_score(labels, said),
            # over the classes that there are
            "macro_f1": f1_score(labels, said, average="macro", labels=np.unique(labels)),
        }
        if top5:
            every = np.arange(probabilities.shape[1])
            found["top5"] = top_k_accuracy_score(labels, probabilities, k=5, labels=every)
        return {name: round(float(value), 5) for name, value in found.items()}


def compute_metrics(
    probabilities: np.ndarray, labels: np.ndarray, top5: bool = False
) -> dict[str, float]:
    """{accuracy, macro_f1, and top5 where it is asked for}."""
    datasets.disable_progress_bars()
    metric = Classification(keep_in_memory=True)
    found = metric.compute(predictions=probabilities, references=labels, top5=top5)
    assert found is not None  # it is None on the further processes of a distributed exam alone
    return found
