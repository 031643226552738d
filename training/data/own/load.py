"""An own data set as a recipe learns from it."""

from pathlib import Path

from training.data.examples import LEAST, Data, Kind, Thing, make_data
from training.data.folders import list_laid_out
from training.data.own.data_set import DataSet
from training.wording import sentence


def load_own(path: Path, kind: Kind[Thing], verb: str = "holds") -> Data[Thing]:
    """Pictures or sounds and their classes; what cannot be read or is there twice is told. A file
    that is corrected while it is learned from is found where it is then. Raises SettingsError."""
    own = DataSet(path)
    name = f"the data set {own.name}"
    revision = own.revision
    found = list_laid_out(own.data, kind.recognise, name, LEAST)
    return make_data(own.data, found, kind, verb, name, sentence(name), revision, own.find_again)
