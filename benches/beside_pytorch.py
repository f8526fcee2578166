"""Runs the benches of training and their peers in PyTorch in turn, on the CPU, and prints medians and ratios.

    cargo bench --bench train_step --bench distil_step --no-run
    python3 benches/beside_pytorch.py [ROUNDS]

Wants a quiet machine. Peak memory is that of the whole process, which of PyTorch holds its libraries as well.
"""

import json
import os
import re
import statistics
import subprocess
import sys

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
HERE = os.path.dirname(os.path.abspath(__file__))
WORK = {
    "fine-tuning, 6 layers of 384, 8 x 128": ("train_step", [], []),
    "TinyClinicalBERT from BERT-base, 8 x 128": ("distil_step", ["--sequences", "8", "--steps", "8"], ["cpu", "8"]),
}


def binary(name):
    built = subprocess.run(
        ["cargo", "bench", "--bench", name, "--no-run", "--message-format=json"], cwd=HERE, check=True, capture_output=True
    )
    messages = map(json.loads, built.stdout.splitlines())
    found = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == name]
    return found[-1]


def run(command):
    """Tokens a second as the program prints them first, and its peak memory in MiB."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, command
    return float(re.search(r"([\d.]+) tokens/s", text).group(1)), usage.ru_maxrss / 1024


for title, (name, ours, theirs) in WORK.items():
    commands = [[binary(name), *ours], [sys.executable, f"{HERE}/{name}.py", *theirs]]
    rounds = [[run(command) for command in commands] for _ in range(ROUNDS)]
    speeds = [statistics.median(r[side][0] for r in rounds) for side in (0, 1)]
    memory = [statistics.median(r[side][1] for r in rounds) for side in (0, 1)]
    ratios = sorted(r[0][0] / r[1][0] for r in rounds)
    print(f"{title}: {speeds[0]:.0f} and {speeds[1]:.0f} tokens/s, round by round {statistics.median(ratios):.2f} times "
          f"PyTorch's ({ratios[0]:.2f} to {ratios[-1]:.2f}); {memory[0]:.0f} and {memory[1]:.0f} MiB")
