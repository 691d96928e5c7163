"""Trainings and predictions that are killed at random moments, and what comes of them; Linux only.

    python -m benchmarks.kills
    python -m benchmarks.kills --trainings 10 --signals 4 --tests 4 --pairs 4

`--trainings` counts SIGKILLs, each resumed by `--resume auto`. Every second one hits a process that is writing a file:
in `torch.save`, before a flush to the disk, before or after a rename. A training that comes to its end must be the
unbroken one: weights, averages, optimizer, logged numbers, names of files. `--signals` counts SIGTERM and SIGUSR1 to
processes of their own, half of them while they start, with the time until they have ended. `--tests` counts SIGKILLs in
test mode, after which the same command must give the same bytes; of files that name the time (JSON) the scores are
compared, of the page its presence. `--pairs` counts pairs of test commands that start in the same moment, with the same
or with other settings: what lies there afterwards must be one's own, all of it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import connectomics.runs.test
import connectomics.runs.train  # noqa: F401  # before the first fork
from connectomics.runs.cli import main as run_command
from connectomics.training.checkpoints import read_checkpoint
from tests.runs.same_training import differences
from tests.small_run import write_settings

ROOT = Path(__file__).parents[1]
TRAINING = ["optimization.max_steps=10", "optimization.n_steps_per_epoch=4", "optimization.accumulate_grad_batches=2",
            "data.dataloader.max_val_patches=6", "monitor.checkpoint.monitor=val_loss_total"]  # fmt: skip
BY_TIME = ["monitor.checkpoint.save_every_minutes=null", "monitor.checkpoint.save_every_minutes=1e-9"]
OTHER = "decoding.threshold=0.2"


def start(arguments: list[str], log: Path, prepare: Callable[[], None] | None = None) -> int:
    """Run a command in a fork, which has imported everything already; return its process id."""
    child = os.fork()
    if child == 0:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if prepare is not None:
            prepare()
        status = 1
        try:
            status = run_command(arguments)
        finally:
            sys.stdout.flush()
            os._exit(status)
    return child


def finish(child: int) -> int:
    """Wait for a process; return its exit status, below 0 for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_while_writing(moment: int, share: float) -> Callable[[], None]:
    """Return what makes a process kill itself at the `moment`-th step of writing a file."""
    seen = [0]

    def counted(usual: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            result = usual(*arguments, **named) if after else None
            seen[0] += 1
            if seen[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return result if after else usual(*arguments, **named)

        return call

    def save_a_part(content: Any, file: Any) -> None:
        whole = io.BytesIO()
        usual_save(content, whole)
        seen[0] += 1
        if seen[0] == moment:
            file.write(whole.getvalue()[: int(share * whole.tell())])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        file.write(whole.getvalue())

    usual_save = torch.save

    def prepare() -> None:
        torch.save = save_a_part  # type: ignore[assignment]  # what the checkpoints need of it
        os.fsync = counted(os.fsync)
        os.replace = counted(counted(os.replace, after=True))

    return prepare


def whole_run(folder: Path) -> Path:
    """Return the run that came to its end; a run that was killed before its first checkpoint lies beside it."""
    (found,) = folder.glob("*/checkpoints/last.ckpt")
    return found.parent.parent


class Campaign:
    """A folder with small volumes, and the trainings and predictions in it."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.settings = write_settings(folder)
        self.log = folder / "log"
        begun = time.monotonic()
        assert finish(start(self.train(folder / "unbroken"), self.log)) == 0, self.log.read_text()
        self.seconds = time.monotonic() - begun
        self.unbroken = whole_run(folder / "unbroken")

    def train(self, runs: Path) -> list[str]:
        return ["--config", str(self.settings), *TRAINING, f"save_path={runs}", "--resume", "auto"]

    def kill_trainings(self, count: int) -> None:
        killed = written = ended = wrong = 0
        while killed < count:
            runs = self.folder / f"killed_{ended}"
            while True:
                arguments = [*self.train(runs), self.rng.choice(BY_TIME)]
                in_writing = killed % 2 == 1
                moment = die_while_writing(self.rng.randint(1, 60), self.rng.random()) if in_writing else None
                if killed == count:
                    child = start(arguments, self.log)
                else:
                    child = start(arguments, self.log, moment)
                    if not in_writing:
                        time.sleep(self.rng.uniform(0.02, 1) * self.seconds)
                        os.kill(child, signal.SIGKILL)
                status = finish(child)
                if status == 0:
                    break
                assert status == -signal.SIGKILL, (status, self.log.read_text()[-3000:])
                killed += 1
                written += in_writing
            ended += 1
            if found := differences(whole_run(runs), self.unbroken):
                wrong += 1
                print(f"  {runs.name} DIFFERS: {found[:5]}")
            if not found:
                shutil.rmtree(runs)
        print(f"training: {killed} SIGKILLs, {written} of them while a file was written; {ended} trainings came to "
              f"their end, {ended - wrong} of them equal to the unbroken one", flush=True)  # fmt: skip

    def signal_trainings(self, count: int) -> None:
        sent, early, ended, wrong, answers = 0, 0, 0, 0, []
        said: dict[str, int] = {}
        while sent < count:
            runs = self.folder / f"signalled_{ended}"
            while True:
                command = [sys.executable, str(ROOT / "scripts" / "main.py"), *self.train(runs)]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                if sent < count and sent % 2 == 0:
                    time.sleep(self.rng.uniform(0.2, 5))
                elif sent < count:
                    assert process.stdout is not None
                    any("parameters on" in line for line in process.stdout)
                    time.sleep(self.rng.uniform(0, self.seconds))
                asked = time.monotonic()
                if sent < count and process.poll() is None:
                    process.send_signal(self.rng.choice([signal.SIGTERM, signal.SIGUSR1]))
                    sent += 1
                _, complaints = process.communicate()
                if process.returncode == 0:
                    break
                if process.returncode < 0:  # Python itself had not come as far as to the program yet
                    assert not complaints, complaints
                    early += 1
                    continue
                answers.append(time.monotonic() - asked)
                assert process.returncode == 128 + signal.SIGTERM, (process.returncode, complaints)
                assert "Traceback" not in complaints, complaints
                line = complaints.splitlines()[-1]
                kind = "saved" if "is saved" in line else "nothing to save"
                said[kind] = said.get(kind, 0) + 1
                for path in runs.glob("*/checkpoints/*"):
                    read_checkpoint(path)
            ended += 1
            wrong += bool(differences(whole_run(runs), self.unbroken))
            shutil.rmtree(runs)
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(said.items()))
        print(f"training: {sent} SIGTERM and SIGUSR1, {early} of them before Python had begun with the program, "
              f"{len(answers)} before its end: status 143 and one line each ({kinds}), answered in at most "
              f"{max(answers):.1f} s; {ended} trainings came to their end, {ended - wrong} of them equal to the "
              "unbroken one", flush=True)  # fmt: skip

    def test(self, out: Path, *more: str) -> list[str]:
        last = str(self.unbroken / "checkpoints" / "last.ckpt")
        return ["--config", str(self.settings), "--mode", "test", "--checkpoint", last, "--out", str(out), *more]

    def results(self, *more: str) -> dict[str, str]:
        """Return name and digest of the files of an undisturbed test."""
        out, begun = self.folder / "undisturbed", time.monotonic()
        assert finish(start(self.test(out, *more), self.log)) == 0, self.log.read_text()
        self.test_seconds = time.monotonic() - begun
        found = digests(out)
        shutil.rmtree(out)
        return found

    def kill_tests(self, count: int) -> None:
        expected = self.results()
        killed = ended = wrong = 0
        while killed < count:
            out = self.folder / f"tested_{ended}"
            while True:
                child = start(self.test(out), self.log)
                if killed < count:
                    time.sleep(self.rng.uniform(0.02, 1) * self.test_seconds)
                    os.kill(child, signal.SIGKILL)
                if (status := finish(child)) == 0:
                    break
                assert status == -signal.SIGKILL, (status, self.log.read_text()[-3000:])
                killed += 1
            ended += 1
            found = digests(out)
            if found != expected:
                wrong += 1
                print(f"  {out.name} DIFFERS: {sorted(found.items() ^ expected.items())}")
            shutil.rmtree(out)
        print(f"test mode: {killed} SIGKILLs; {ended} tests came to their end, {ended - wrong} of them with the files "
              "of an undisturbed one", flush=True)  # fmt: skip

    def start_pairs(self, count: int) -> None:
        known = {"": self.results(), OTHER: self.results(OTHER)}
        told = both = wrong = 0
        for number in range(count):
            out = self.folder / f"pair_{number}"
            pair = ["", "" if number % 2 == 0 else OTHER]
            logs = [self.folder / f"pair_{number}_{side}.log" for side in (0, 1)]
            children = [start(self.test(out, *([more] if more else [])), log)
                        for more, log in zip(pair, logs, strict=True)]  # fmt: skip
            statuses = [finish(child) for child in children]
            said = "".join(log.read_text() for log in logs)
            whole = [more for more in set(pair) if digests(out) == known[more]]
            told += sorted(statuses) == [0, 2] and "is being worked on by process" in said
            both += statuses == [0, 0]
            if not whole or "Traceback" in said or sorted(statuses) not in ([0, 0], [0, 2]):
                wrong += 1
                print(f"  pair {number} WRONG: {statuses}\n{said[-2000:]}")
            shutil.rmtree(out)
        print(f"test mode: {count} pairs at once, every second one with other settings: one was told of the other in "
              f"{told}, both came to their end one after the other in {both}; files of one of them alone in "
              f"{count - wrong}", flush=True)  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    """Return name and digest of the files in a folder, not those in folders inside of it; see above."""
    found = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(json.loads(content)["volumes"]).encode()
        elif path.suffix == ".html":
            content = b""
        found[path.name] = hashlib.sha256(content).hexdigest()[:16]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=50)
    parser.add_argument("--signals", type=int, default=20)
    parser.add_argument("--tests", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), random.Random(args.seed))
        campaign.kill_trainings(args.trainings)
        campaign.kill_tests(args.tests)
        campaign.start_pairs(args.pairs)
        campaign.signal_trainings(args.signals)


if __name__ == "__main__":
    main()
