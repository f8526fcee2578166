"""Documents and words a second of `clinlite tag … --out`, beside one call a file and a pipeline of transformers on the CPU.

    cargo build --release --locked
    python3 benches/batch.py NOTES.jsonl [--notes 40] [--rounds 3]

NOTES.jsonl has an object with `text` a line; of its lines so many are taken, evenly spaced. The model is the one that ships.
Everything runs in turn, round by round; a time of ours is that of the whole process or processes. transformers, where this
Python has it and torch, gets the same weights in f32 and the same windows, eight at once; its time is without starting and
loading. Wants a quiet machine.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLINLITE = ROOT / "target/release/clinlite"
MODEL = ROOT / "models/clinlite-ner-en"


def tag(*arguments, out=None):
    command = [CLINLITE, "tag", "--model", MODEL, *arguments]
    started = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, stdout=out or subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def folder(home, threads):
    with tempfile.TemporaryDirectory(dir=home) as out:
        return tag(home / "notes", "--out", f"{out}/tagged", "--threads", threads)


def lines(home, threads):
    with tempfile.TemporaryDirectory(dir=home) as out:
        return tag(home / "notes.jsonl", "--out", f"{out}/tagged.jsonl", "--threads", threads)


def one_by_one(home, threads):
    with tempfile.TemporaryFile(dir=home) as out:
        return sum(tag("--format", "json", "--threads", threads, note, out=out) for note in sorted((home / "notes").iterdir()))


def transformers(home, threads):
    command = [sys.executable, __file__, "--pipeline", str(home), str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def pipeline(home, threads):
    """Prints the seconds of one pass over the notes."""
    import torch
    from transformers import AutoTokenizer, pipeline

    torch.set_num_threads(int(threads))
    tokenizer = AutoTokenizer.from_pretrained(f"{home}/hf", model_max_length=512)
    tagger = pipeline("token-classification", f"{home}/hf", tokenizer=tokenizer, aggregation_strategy="average", stride=32, device="cpu")
    texts = [note.read_text() for note in sorted(pathlib.Path(home, "notes").iterdir())]
    tagger(texts[:2])
    started = time.perf_counter()
    tagger(texts, batch_size=8)
    print(time.perf_counter() - started)


def has_transformers():
    return subprocess.run([sys.executable, "-c", "import torch, transformers"], stderr=subprocess.DEVNULL).returncode == 0


def write(home, path, count):
    """The notes as files and as lines; how many words they have."""
    found = [line for line in pathlib.Path(path).read_text().splitlines() if json.loads(line)["text"].strip()]
    taken = found[:: max(1, len(found) // count)][:count]
    (home / "notes").mkdir()
    for number, line in enumerate(taken):
        (home / f"notes/{number:05}.txt").write_text(json.loads(line)["text"])
    (home / "notes.jsonl").write_text("\n".join(taken) + "\n")
    return len(taken), sum(len(json.loads(line)["text"].split()) for line in taken)


def main(arguments):
    ways = {"a folder": folder, "a file of lines": lines, "one call a file": one_by_one}
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        notes, words = write(home, arguments.notes_file, arguments.notes)
        print(f"{notes} notes of {words} words; medians of {arguments.rounds} rounds, and ratios of speed to one call a file")
        if has_transformers():
            subprocess.run([CLINLITE, "export", MODEL, "--to", "hf", "--out", home / "hf"], check=True, stdout=subprocess.DEVNULL)
            ways["transformers"] = transformers
        cells = [(name, way, threads) for threads in (1, 2) for name, way in ways.items()]
        rounds = []
        for number in range(1, arguments.rounds + 1):
            rounds.append({(name, threads): way(home, threads) for name, way, threads in cells})
            print(f"round {number} of {arguments.rounds}", file=sys.stderr)
    for name, _, threads in cells:
        seconds = statistics.median(times[name, threads] for times in rounds)
        ratios = sorted(times["one call a file", threads] / times[name, threads] for times in rounds)
        print(f"{name:16} {threads} thread{'s' * (threads > 1):1}  {seconds:7.2f} s  {notes / seconds:7.2f} documents/s"
              f"  {words / seconds:7.0f} words/s  {statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pipeline"]:
        pipeline(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("notes_file", metavar="NOTES.jsonl")
        parser.add_argument("--notes", type=int, default=40)
        parser.add_argument("--rounds", type=int, default=3)
        main(parser.parse_args())
