"""Writes the models of the web bench: ours, and the peers' ONNX files from the same numbers.

    python models.py CLINLITE MODEL OUT

CLINLITE is the binary, MODEL the packed default model, OUT gets a folder a model:

    f32/     a Hugging Face folder with a manifest, and the peers' graphs in onnx/
    int8/    the same weights as `clinlite pack` makes them

A shape has random weights, from a fixed seed, with the vocabulary and the labels of the default model. The peers' graphs are
those of onnxruntime's transformers optimizer (EmbedLayerNormalization, Attention or MultiHeadAttention, BiasGelu,
SkipLayerNormalization), in f32 and by its dynamic quantisation a channel (uint8 activations, int8 weights).
"""

import hashlib
import json
import logging
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

import onnx_graph

# layers, hidden size, inner size; all have 12 heads. 6x384 is the default model.
SHAPES = {"4x312": (4, 312, 1200), "6x384": None, "6x768": (6, 768, 3072)}
GRAPHS = {"attention": False, "multi_head": True}
INTEGERS = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
HEADS = 12


def main(clinlite, packed, out):
    for name, shape in SHAPES.items():
        folder = out / name
        stamp = fingerprint(packed)
        if (folder / "stamp").exists() and (folder / "stamp").read_text() == stamp:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        floats = folder / "f32"
        if shape is None:
            subprocess.run([clinlite, "export", packed, "--to", "hf", "--out", floats], check=True)
            shutil.copytree(packed, folder / "int8")
        else:
            random_folder(floats, packed, *shape)
            subprocess.run([clinlite, "pack", floats, "--out", folder / "int8"], check=True, stdout=subprocess.DEVNULL)
        add_manifest(floats, packed)
        write_graphs(floats)
        (folder / "stamp").write_text(stamp)


def fingerprint(packed):
    """Changes when a model would come out differently."""
    here = pathlib.Path(__file__).parent
    sources = [here / "models.py", here / "onnx_graph.py", here / "requirements.txt", packed / "manifest.json"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def random_folder(folder, packed, layers, hidden, inner):
    """A BERT whose numbers are about as large as those of a trained one."""
    folder.mkdir(parents=True)
    config = json.loads((packed / "config.json").read_text())
    config.pop("label_transitions", None)
    config |= {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": inner, "num_attention_heads": HEADS}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(packed / "tokenizer.json", folder)
    random = np.random.default_rng(5)
    weights = {}

    def normal(name, *shape):
        weights[name] = (random.standard_normal(shape) * 0.05).astype(np.float32)

    def dense(place, outputs, inputs):
        normal(f"{place}.weight", outputs, inputs)
        normal(f"{place}.bias", outputs)

    def norm(place):
        weights[f"{place}.weight"] = np.ones(hidden, np.float32)
        normal(f"{place}.bias", hidden)

    for table, rows in (("word", config["vocab_size"]), ("position", config["max_position_embeddings"]), ("token_type", 2)):
        normal(f"bert.embeddings.{table}_embeddings.weight", rows, hidden)
    norm("bert.embeddings.LayerNorm")
    for i in range(layers):
        place = f"bert.encoder.layer.{i}"
        for name in ("query", "key", "value"):
            dense(f"{place}.attention.self.{name}", hidden, hidden)
        dense(f"{place}.attention.output.dense", hidden, hidden)
        norm(f"{place}.attention.output.LayerNorm")
        dense(f"{place}.intermediate.dense", inner, hidden)
        dense(f"{place}.output.dense", hidden, inner)
        norm(f"{place}.output.LayerNorm")
    dense("classifier", len(config["id2label"]), hidden)
    write_safetensors(folder / "model.safetensors", weights)


def write_safetensors(path, weights):
    header, at = {}, 0
    for name, values in weights.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(v.tobytes() for v in weights.values()))


def read_safetensors(path):
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)

    def array(entry):
        start, stop = entry["data_offsets"]
        return np.frombuffer(content[end + start : end + stop], np.float32).reshape(entry["shape"])

    return {name: array(entry) for name, entry in header.items()}


def add_manifest(folder, packed):
    """What the page's `load()` and transformers.js want beside the weights."""
    files = {}
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        content = (folder / name).read_bytes()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    default = json.loads((packed / "manifest.json").read_text())
    about = {key: default[key] for key in ("schema", "task", "architecture", "window")}
    (folder / "manifest.json").write_text(json.dumps(about | {"name": "bench", "files": files}))
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))


def write_graphs(folder):
    config = json.loads((folder / "config.json").read_text())
    graphs = folder / "onnx"
    graphs.mkdir()
    with tempfile.TemporaryDirectory() as temporary:
        plain = f"{temporary}/plain.onnx"
        onnx.save(onnx_graph.token_classifier(config, read_safetensors(folder / "model.safetensors")), plain)
        for name, multi_head in GRAPHS.items():
            fused = str(graphs / f"{name}_f32.onnx")
            fuse(plain, fused, config, multi_head)
            for integer, kind in INTEGERS.items():
                quantise(fused, str(graphs / f"{name}_{integer}.onnx"), kind)


def fuse(plain, fused, config, multi_head):
    options = FusionOptions("bert")
    options.use_multi_head_attention = multi_head
    sizes = {"num_heads": config["num_attention_heads"], "hidden_size": config["hidden_size"]}
    model = optimize_model(plain, model_type="bert", optimization_options=options, opt_level=0, **sizes)
    found, layers = model.get_fused_operator_statistics(), config["num_hidden_layers"]
    attention = "MultiHeadAttention" if multi_head else "Attention"
    expected = {attention: layers, "BiasGelu": layers, "SkipLayerNormalization": 2 * layers, "EmbedLayerNormalization": 1}
    for operator, count in expected.items():
        assert found[operator] == count, f"{operator}: expected {count}, found {found[operator]}"
    model.save_model_to_file(fused)


def quantise(fused, quantised, kind):
    options = {"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True}
    quantize_dynamic(fused, quantised, weight_type=kind, per_channel=True, extra_options=options)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # advice about graphs that are made on purpose
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
