"""What is wrong with an own data set, as far as that is known without a model."""

from training.data.checks.findings import Finding, list_findings
from training.data.checks.look import Seen, look_at
from training.data.own.corrections import list_confirmed
from training.data.own.data_set import DataSet, Tell, tell_nobody


def look_into(found: DataSet, tell: Tell = tell_nobody) -> Seen:
    """Opens every item once. Raises what `tell` does."""
    return look_at(found.list_items(), found.kind, tell)


def check_data_set(found: DataSet, tell: Tell = tell_nobody) -> list[Finding]:
    """What a person called right is not asked about again. Raises what `tell` does."""
    return list_findings(look_into(found, tell), list_confirmed(found))
