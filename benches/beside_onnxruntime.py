"""The encoder beside onnxruntime, candle and PyTorch on the CPU, with one and two threads, on the same weights.

    node benches/web/prepare.mjs
    python3 benches/beside_onnxruntime.py [--quick]

Every engine is a process that times every length; the processes run in turn, round by round. Needs the models and the Python that
`benches/web/prepare.mjs` makes; PyTorch is run with the Python that runs this, where that has torch and transformers.

A time is that of one window. With two threads this crate and "onnxruntime, side by side" run two windows at once, the others share
one; ratios are to the fastest way of onnxruntime for that form of numbers and that number of threads.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "target/bench"
MODELS = ["4x312", "6x384", "6x768"]
GRAPHS = {"f32": ["attention_f32", "multi_head_f32"], "int8": [f"{a}_{n}" for a in ("attention", "multi_head") for n in ("int8", "uint8")]}
WARM_UP = 1


def main(quick):
    lengths, rounds, repeats = ([128, 512], 2, 3) if quick else ([64, 128, 256, 512], 5, 4)
    ours = [binary()]
    rows = []
    for model in MODELS:
        folder = BENCH / "models" / model
        graphs = {dtype: fastest(folder, names) for dtype, names in GRAPHS.items()}
        print(f"{model}: onnxruntime's graphs are {graphs['f32']} and {graphs['int8']}")
        engines = list(commands(ours, folder, graphs))
        times = {}
        for _ in range(rounds):
            for key, command in engines:
                for length, milliseconds in run([*command, ",".join(map(str, lengths)), str(repeats)]).items():
                    times.setdefault((*key, length), []).append(milliseconds)
        rows += summarise(model, times)
    print_table(rows)
    (BENCH / "native.json").write_text(json.dumps({"rows": rows}, indent=1))
    print("target/bench/native.json")


def binary():
    command = ["cargo", "bench", "--locked", "--bench", "encoder", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    messages = map(json.loads, built.stdout.splitlines())
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "encoder"][-1]


def commands(ours, folder, graphs):
    """Every engine as ((name, form of numbers, threads), command)."""
    python, this = str(BENCH / "python/bin/python"), str(pathlib.Path(__file__).resolve())
    for threads in (1, 2):
        for dtype in ("f32", "int8"):
            yield ("clinlite", dtype, threads), [*ours, str(folder / dtype), "simd", str(threads)]
            graph = str(folder / f"f32/onnx/{graphs[dtype]}.onnx")
            yield ("onnxruntime", dtype, threads), [python, this, "onnxruntime", graph, str(threads), "1"]
            if threads > 1:
                yield ("onnxruntime, side by side", dtype, threads), [python, this, "onnxruntime", graph, "1", str(threads)]
        yield ("candle", "f32", threads), [*ours, str(folder / "f32"), "candle", str(threads)]
        if has_torch():
            yield ("PyTorch", "f32", threads), [sys.executable, this, "torch", str(folder / "f32"), str(threads)]


def has_torch():
    return subprocess.run([sys.executable, "-c", "import torch, transformers"], stderr=subprocess.DEVNULL).returncode == 0


def run(command):
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = map(json.loads, output.splitlines())
    return {line["length"]: line["ms"] for line in lines}


def fastest(folder, names):
    """The graph whose best time is least at 128 tokens with one thread."""
    python, this = str(BENCH / "python/bin/python"), str(pathlib.Path(__file__).resolve())
    best = {}
    for name in names:
        graph = str(folder / f"f32/onnx/{name}.onnx")
        best[name] = min(run([python, this, "onnxruntime", graph, "1", "1", "128", "8"])[128])
    return min(best, key=best.get)


def summarise(model, times):
    """One row an engine, form of numbers, number of threads and length. The ratio is that of the medians of the rounds."""
    medians = {key: [statistics.median(r) for r in rounds] for key, rounds in times.items()}
    rows = []
    for key, rounds in medians.items():
        engine, dtype, threads, length = key
        peers = [k for k in medians if k[0].startswith("onnxruntime") and k[1:] == key[1:]]
        peer = medians[min(peers, key=lambda k: statistics.median(medians[k]))]
        ratios = sorted(theirs / mine for theirs, mine in zip(peer, rounds))
        rows.append({
            "engine": engine, "model": model, "dtype": dtype, "threads": threads, "length": length,
            "median_ms": statistics.median(rounds), "min_ms": min(map(min, times[key])), "n": sum(map(len, times[key])),
            "times_faster_than_ort": statistics.median(ratios), "from": ratios[0], "to": ratios[-1],
        })
    return rows


def print_table(rows):
    print(f"{'engine':26} {'model':6} {'form':5} {'threads':>7} {'tokens':>6} {'median ms':>10} {'min ms':>8} {'n':>3}  times as fast as onnxruntime")
    for r in sorted(rows, key=lambda r: (r["model"], r["length"], r["threads"], r["dtype"])):
        print(f"{r['engine']:26} {r['model']:6} {r['dtype']:5} {r['threads']:7} {r['length']:6} {r['median_ms']:10.1f} {r['min_ms']:8.1f} {r['n']:3}"
              f"  {r['times_faster_than_ort']:.2f} ({r['from']:.2f} to {r['to']:.2f})")


def ids(length):
    return [5 + (i * 7919) % 1000 for i in range(length)]


def time_lengths(prepare, lengths, repeats, windows=1):
    """Prints milliseconds a window for every length; `prepare(length)` gives what does one pass of `windows`."""
    for length in map(int, lengths.split(",")):
        work, milliseconds = prepare(length), []
        for repeat in range(WARM_UP + int(repeats)):
            start = time.perf_counter()
            work()
            if repeat >= WARM_UP:
                milliseconds.append((time.perf_counter() - start) * 1e3 / windows)
        print(json.dumps({"length": length, "ms": milliseconds}))


def onnxruntime_worker(graph, threads, windows, lengths, repeats):
    import numpy as np
    import onnxruntime

    windows = int(windows)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def prepare(length):
        row = np.array([ids(length)], np.int64)
        feeds = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}

        def work():
            others = [threading.Thread(target=session.run, args=(None, feeds)) for _ in range(windows - 1)]
            for other in others:
                other.start()
            session.run(None, feeds)
            for other in others:
                other.join()

        return work

    time_lengths(prepare, lengths, repeats, windows)


def torch_worker(folder, threads, lengths, repeats):
    import torch
    from transformers import AutoModelForTokenClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(int(threads))
    model = AutoModelForTokenClassification.from_pretrained(folder, attn_implementation="sdpa").eval()

    def prepare(length):
        row = torch.tensor([ids(length)])

        def work():
            with torch.inference_mode():
                model(input_ids=row)

        return work

    time_lengths(prepare, lengths, repeats)


if __name__ == "__main__":
    workers = {"onnxruntime": onnxruntime_worker, "torch": torch_worker}
    if len(sys.argv) > 1 and sys.argv[1] in workers:
        workers[sys.argv[1]](*sys.argv[2:])
    else:
        main("--quick" in sys.argv)
