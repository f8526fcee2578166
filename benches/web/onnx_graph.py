"""A BERT for token classification as the ONNX graph that PyTorch's exporter writes.

onnxruntime's transformers optimizer looks for exactly these patterns, and makes fused operators of them.
Axes: B batch, S sequence, D hidden size, H heads, L labels.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and constants as they are added."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def constant(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator, *inputs, name=None, **attributes):
        output = name or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=f"node_{output}", **attributes))
        return output

    def dense(self, x, weights, place):
        """[B, S, inputs] to [B, S, outputs]."""
        weight = self.constant(f"{place}.weight", weights[f"{place}.weight"].T)
        bias = self.constant(f"{place}.bias", weights[f"{place}.bias"])
        return self.add("Add", self.add("MatMul", x, weight), bias)

    def norm(self, x, weights, place, eps):
        scale = self.constant(f"{place}.weight", weights[f"{place}.weight"])
        bias = self.constant(f"{place}.bias", weights[f"{place}.bias"])
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=eps)


def token_classifier(config, weights):
    """The model [B, S] to logits [B, S, L]. `weights` are arrays by Hugging Face's names."""
    graph = Graph()
    for name, value in (("zero", [0]), ("one", [1])):
        graph.constant(name, np.array(value, np.int64))
    eps = config["layer_norm_eps"]
    x = embeddings(graph, weights, eps)
    mask = additive_mask(graph)
    for i in range(config["num_hidden_layers"]):
        x = layer(graph, weights, x, mask, f"bert.encoder.layer.{i}", config)
    graph.add("Identity", graph.dense(x, weights, "classifier"), name="logits")
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in INPUTS]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", len(config["id2label"])])
    body = helper.make_graph(graph.nodes, "bert", ids, [logits], graph.initializers)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


def embeddings(graph, weights, eps):
    tables = {n: f"bert.embeddings.{n}_embeddings.weight" for n in ("word", "position", "token_type")}
    for name in tables.values():
        graph.constant(name, weights[name])
    positions = len(weights[tables["position"]])
    all_positions = graph.constant("position_ids", np.arange(positions, dtype=np.int64)[None])
    length = graph.add("Gather", graph.add("Shape", "input_ids"), graph.constant("axis", np.array(1, np.int64)), axis=0)
    end = graph.add("Unsqueeze", length, "zero")
    position_ids = graph.add("Slice", all_positions, "zero", end, "one", "one")
    word = graph.add("Gather", tables["word"], "input_ids")
    token_type = graph.add("Gather", tables["token_type"], "token_type_ids")
    position = graph.add("Gather", tables["position"], position_ids)
    total = graph.add("Add", graph.add("Add", word, token_type), position)
    return graph.norm(total, weights, "bert.embeddings.LayerNorm", eps)


def additive_mask(graph):
    """0 where a token may be looked at, the smallest number elsewhere: [B, 1, 1, S]."""
    rows = graph.add("Unsqueeze", "attention_mask", "one")
    rows = graph.add("Unsqueeze", rows, graph.constant("two", np.array([2], np.int64)))
    kept = graph.add("Cast", rows, to=TensorProto.FLOAT)
    hidden = graph.add("Sub", graph.constant("keep", np.array(1, np.float32)), kept)
    return graph.add("Mul", hidden, graph.constant("smallest", np.array(np.finfo(np.float32).min, np.float32)))


def layer(graph, weights, x, mask, place, config):
    eps = config["layer_norm_eps"]
    context = attention(graph, weights, x, mask, f"{place}.attention.self", config)
    attended = graph.add("Add", graph.dense(context, weights, f"{place}.attention.output.dense"), x)
    x = graph.norm(attended, weights, f"{place}.attention.output.LayerNorm", eps)
    inner = gelu(graph, graph.dense(x, weights, f"{place}.intermediate.dense"))
    out = graph.add("Add", graph.dense(inner, weights, f"{place}.output.dense"), x)
    return graph.norm(out, weights, f"{place}.output.LayerNorm", eps)


def attention(graph, weights, x, mask, place, config):
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    width = hidden // heads
    split = graph.constant(f"{place}.split", np.array([0, 0, heads, width], np.int64))
    joined = graph.constant(f"{place}.joined", np.array([0, 0, hidden], np.int64))
    root = graph.constant(f"{place}.root", np.array(np.sqrt(width), np.float32))

    def head(name, order):
        projected = graph.dense(x, weights, f"{place}.{name}")
        return graph.add("Transpose", graph.add("Reshape", projected, split), perm=order)

    query, key, value = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]), head("value", [0, 2, 1, 3])
    scores = graph.add("Add", graph.add("Div", graph.add("MatMul", query, key), root), mask)
    context = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    return graph.add("Reshape", graph.add("Transpose", context, perm=[0, 2, 1, 3]), joined)


def gelu(graph, x):
    halves = graph.add("Erf", graph.add("Div", x, graph.constant(f"root_{x}", np.array(np.sqrt(2), np.float32))))
    raised = graph.add("Add", halves, graph.constant(f"one_{x}", np.array(1, np.float32)))
    return graph.add("Mul", graph.add("Mul", x, raised), graph.constant(f"half_{x}", np.array(0.5, np.float32)))
