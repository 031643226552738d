"""The figures of a classifier as `evaluate` metrics that need no network: accuracy, top 5, macro
F1.

`evaluate.load` fetches a script of the same few lines; these are scikit-learn's functions in its
interface. Importing evaluate takes seconds, so only what scores imports this.
"""

from typing import Any

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

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        scores = np.asarray(predictions)
        labels = np.asarray(references)
        said = scores.argmax(1)
        every = np.arange(scores.shape[1])
        found = {
            "accuracy": accuracy_score(labels, said),
            "macro_f1": f1_score(labels, said, average="macro", labels=np.unique(labels)),
        }
        if len(every) > 5:
            found["top5"] = top_k_accuracy_score(labels, scores, k=5, labels=every)
        return {name: round(float(value), 5) for name, value in found.items()}


def classification(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """{accuracy, macro_f1, top5 (of more than 5 classes)}."""
    datasets.disable_progress_bars()
    return Classification(keep_in_memory=True).compute(predictions=probabilities, references=labels)
