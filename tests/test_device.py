"""Where tensors live, and what is set for the whole process."""

import os
import subprocess
import sys

import pytest

from training import device
from training.runs.job import ROOT


@pytest.fixture
def ask(monkeypatch):
    """What has_bf16 says of a processor with these instructions, under a precision."""

    def has_bf16(instructions: str, precision: str, where: str = "cpu") -> bool:
        monkeypatch.setattr(device, "_processor", lambda: instructions)
        monkeypatch.setenv("TRANSFER_LAB_PRECISION", precision)
        device.has_bf16.cache_clear()
        return device.has_bf16(where)

    yield has_bf16
    device.has_bf16.cache_clear()


@pytest.mark.parametrize("precision", ["", "auto"])
def test_bf16_is_used_where_it_is_faster(ask, precision):
    assert ask("flags: avx2 amx_bf16", precision) and ask("flags: avx512_bf16", precision)
    assert not ask("flags: avx2", precision) and not ask("flags: amx_bf16", precision, "mps")
    assert ask("flags: avx2", precision, "cuda")


def test_a_person_can_keep_it_from_being_used(ask):
    assert not ask("flags: amx_bf16", "float32") and not ask("", "float32", "cuda")


def test_a_precision_that_there_is_not_is_refused(ask):
    with pytest.raises(ValueError, match="'float16': it must be one of auto, float32"):
        ask("", "float16")


def test_what_torch_and_transformers_read_is_set_unless_a_person_has_set_it():
    names = ("OMP_WAIT_POLICY", "HF_DEACTIVATE_ASYNC_LOAD")
    show = f"import os, training.device; print(*[os.environ[name] for name in {names}])"
    plain = {key: value for key, value in os.environ.items() if key not in names}
    for own, said in (({}, "PASSIVE 1"), ({names[0]: "ACTIVE", names[1]: "0"}, "ACTIVE 0")):
        child = subprocess.run(
            [sys.executable, "-c", show],
            cwd=ROOT,
            env={**plain, **own},
            capture_output=True,
            text=True,
            check=True,
        )
        assert child.stdout.split() == said.split()
