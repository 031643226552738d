"""Whether what a predictor was just asked about is like anything that its checkpoint has learned:
by what the network's head received on the way to the answer, so that it costs no second pass.

    alarm = Alarm(path, lambda: model.head)      # once
    probabilities = ...                          # a forward pass of the network
    alarm.measure()                              # of that pass, in the same thread
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.recipe import SettingsError
from training.runs.records import RecordError

if TYPE_CHECKING:  # the page starts without torch
    from torch import Tensor, nn


CANNOT = "It cannot tell what it was never taught:"


class Alarm:
    def __init__(self, path: Path, find_head: "Callable[[], nn.Module] | None" = None):
        """Of a checkpoint's directory. `find_head` gives the part that receives the features;
        without one, the features are handed to `judge`."""
        from training.learn import heads, known

        self.note = ""  # what a person should know: why it cannot tell
        self._known = None
        try:
            self._known = known.open_known(path)
            if self._known is not None and find_head is not None:
                heads.watch(find_head())
        except (RecordError, SettingsError) as error:
            self._known = None
            self.note = f"{CANNOT} {error}."

    def measure(self, count: int = 1) -> list[float | None]:
        """How unlike all that was learned each input of this thread's last forward pass is, above
        1: like nothing; None where the checkpoint cannot tell. `count` inputs were asked about; a
        network that is shown several views of each has them one batch after the other."""
        from training.learn import heads, known

        if self._known is None:
            return [None] * count
        received = heads.take_received()
        if received is None:
            return [None] * count
        return self.judge(known.pool(received.float()).unflatten(0, (-1, count)).mean(0))

    def judge(self, features: "Tensor") -> list[float | None]:
        """The same, of features, (N, width) or a place each, (N, places, width)."""
        from training.learn import known

        features = known.pool(features.float())
        nothing: list[float | None] = [None] * len(features)
        if self._known is None:
            return nothing
        if features.shape[1] != self._known.width:
            self.note = f"{CANNOT} what it holds for that is of another network."
            return nothing
        found = self._known.measure(features.cpu().numpy())
        return [float(each) if np.isfinite(each) else None for each in found]
