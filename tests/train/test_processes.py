"""Several processes that train together, as on several GPUs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

from skyloom_train.records import read_table
from tests.train.toy import run_in

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from tests.train.toy import run_in
run_in(sys.argv[1], "", batch_size=2, steps=8, save_every=8, validate_every=8, dropout=0.0, norm=False)
"""


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    """The first logs the loss of its half of the batch; the weights are those of both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "LOCAL_WORLD_SIZE": "2",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "two")],
            cwd=ROOT,
            env={
                **os.environ,
                **common,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "ACCELERATE_USE_CPU": "true",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    run_in(
        str(tmp_path / "one"),
        "",
        batch_size=4,
        steps=8,
        save_every=8,
        validate_every=8,
        dropout=0.0,
        norm=False,
    )
    one, two = (read_table(tmp_path / name / "validation.csv")["error"] for name in ("one", "two"))
    assert np.allclose(one, two, rtol=1e-4)
    losses = [read_table(tmp_path / name / "training.csv")["loss"] for name in ("one", "two")]
    assert not np.allclose(losses[0], losses[1], rtol=1e-3)
