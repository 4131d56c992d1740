"""Writes the query towers of tests/golden/onnx, as exporters of other frameworks write them: python3 foreign.py FOLDER.

Every tower has the inputs of a query tower, `history [batch, 6, 8]` (newest first) and `weights [batch, 6]` (0 where there is no
event), and the output `embedding [batch, 8]`. Needs the packages numpy and onnx.
"""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LENGTH, DIM, HEADS = 6, 8, 2


class Graph:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weights(self, *shape):
        return self.constant(self.random.normal(0, shape[0] ** -0.5, shape))

    def node(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x, rows, columns):
        return self.node("Add", self.node("MatMul", x, self.weights(rows, columns)), self.constant(self.random.normal(0, 0.1, columns)))

    def unit(self, x):
        norm = self.node("ReduceL2", x, axes=[-1], keepdims=1)
        return self.node("Div", x, self.node("Clip", norm, self.constant(1e-6)))

    def save(self, path, output):
        self.nodes.append(helper.make_node("Identity", [output], ["embedding"]))
        floats = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        graph = helper.make_graph(self.nodes, path.stem, [floats("history", LENGTH, DIM), floats("weights", LENGTH)], [floats("embedding", DIM)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def newest(g, x):
    """The row of the newest event, as `x[:, 0]` is exported."""
    return g.node("Gather", x, g.constant(0, np.int64), axis=1)


def self_attention(g, x, exact_gelu):
    """One block as PyTorch's TransformerEncoderLayer(norm_first=True) is exported: causal and padding masks by Where."""
    def heads(x, order):
        split = g.node("Reshape", x, g.constant([-1, LENGTH, HEADS, DIM // HEADS], np.int64))
        return g.node("Transpose", split, perm=order)

    normed = g.node("LayerNormalization", x, g.constant(g.random.normal(1, 0.1, DIM)), g.constant(g.random.normal(0, 0.1, DIM)), axis=-1, epsilon=1e-5)
    q, k, v = (g.linear(normed, DIM, DIM) for _ in range(3))
    scores = g.node("MatMul", heads(q, [0, 2, 1, 3]), heads(k, [0, 2, 3, 1]))
    scores = g.node("Div", scores, g.constant((DIM / HEADS) ** 0.5))
    # Newest first: an event sees itself and older ones.
    scores = g.node("Add", scores, g.constant(np.tril(np.full((LENGTH, LENGTH), -1e9), -1)))
    is_padding = g.node("Not", g.node("Greater", "weights", g.constant(0.0)))
    is_padding = g.node("Unsqueeze", is_padding, g.constant([1, 2], np.int64))
    scores = g.node("Where", is_padding, g.constant(-1e9), scores)
    mixed = g.node("MatMul", g.node("Softmax", scores, axis=-1), heads(v, [0, 2, 1, 3]))
    mixed = g.node("Reshape", g.node("Transpose", mixed, perm=[0, 2, 1, 3]), g.constant([-1, LENGTH, DIM], np.int64))
    x = g.node("Add", x, g.linear(mixed, DIM, DIM))
    normed = g.node("LayerNormalization", x, g.constant(np.ones(DIM)), g.constant(np.zeros(DIM)), axis=-1, epsilon=1e-5)
    return g.node("Add", x, g.linear(gelu(g, g.linear(normed, DIM, 2 * DIM), exact_gelu), 2 * DIM, DIM))


def gelu(g, x, exact):
    half = g.node("Mul", x, g.constant(0.5))
    if exact:
        inner = g.node("Erf", g.node("Div", x, g.constant(2**0.5)))
    else:
        cube = g.node("Mul", g.node("Pow", x, g.constant(3.0)), g.constant(0.044715))
        inner = g.node("Tanh", g.node("Mul", g.node("Add", x, cube), g.constant((2 / np.pi) ** 0.5)))
    return g.node("Mul", half, g.node("Add", inner, g.constant(1.0)))


def attention(path):
    g = Graph(1)
    x = "history"
    for _ in range(2):
        x = self_attention(g, x, exact_gelu=True)
    g.save(path, g.unit(newest(g, x)))


def keras_dense(path):
    """As tf2onnx writes a Keras model: LayerNorm and pooling in pieces, GELU by tanh."""
    g = Graph(2)
    weights = g.node("Unsqueeze", "weights", g.constant([2], np.int64))
    summed = g.node("ReduceSum", g.node("Mul", "history", weights), g.constant([1], np.int64), keepdims=0)
    total = g.node("Max", g.node("ReduceSum", "weights", g.constant([1], np.int64), keepdims=1), g.constant(1e-6))
    pooled = g.node("Div", summed, total)
    centred = g.node("Sub", pooled, g.node("ReduceMean", pooled, axes=[1], keepdims=1))
    variance = g.node("ReduceMean", g.node("Mul", centred, centred), axes=[1], keepdims=1)
    scale = g.node("Reciprocal", g.node("Sqrt", g.node("Add", variance, g.constant(1e-3))))
    x = g.node("Mul", centred, g.node("Mul", scale, g.constant(g.random.normal(1, 0.1, DIM))))
    x = gelu(g, g.linear(x, DIM, 16), exact=False)
    g.save(path, g.unit(g.linear(x, 16, DIM)))


def pooled(g, x):
    """The mean of the rows that have a weight."""
    summed = g.node("ReduceSum", g.node("Mul", x, g.node("Unsqueeze", "weights", g.constant([2], np.int64))), g.constant([1], np.int64), keepdims=0)
    return g.node("Div", summed, g.node("Max", g.node("ReduceSum", "weights", g.constant([1], np.int64), keepdims=1), g.constant(1e-6)))


def leaky_relu(path):
    """As PyTorch exports nn.LeakyReLU, which has no lowering: tract runs it."""
    g = Graph(7)
    g.save(path, g.unit(g.linear(g.node("LeakyRelu", g.linear(pooled(g, "history"), DIM, 16), alpha=0.1), 16, DIM)))


def reverse_sequence(path):
    """As tf2onnx writes tf.reverse_sequence, which tract does not have."""
    g = Graph(8)
    is_event = g.node("Greater", "weights", g.constant(0.0))
    lengths = g.node("ReduceSum", g.node("Cast", is_event, to=TensorProto.INT64), g.constant([1], np.int64), keepdims=0)
    oldest_first = g.node("ReverseSequence", "history", lengths, batch_axis=0, time_axis=1)
    g.save(path, g.unit(newest(g, oldest_first)))


def recurrent(path, op, gates, outputs, seed, hidden=DIM, sliced=True, whole=False, **attributes):
    """As PyTorch exports nn.GRU and nn.LSTM: batch second, the states of zeros made from the shape of the batch.

    `whole` adds the sum of all states to the last one; a `hidden` beyond `DIM` repeats small weights, to keep the file small.
    """
    g = Graph(seed)
    # The newest event is first: a sequence is read from the oldest on, by a reversed slice or by the layer itself.
    x = "history"
    if sliced:
        x = g.node("Slice", x, g.constant([-1], np.int64), g.constant([-(2**63) + 1], np.int64), g.constant([1], np.int64), g.constant([-1], np.int64))
    x = g.node("Transpose", x, perm=[1, 0, 2])
    batch = g.node("Gather", g.node("Shape", x), g.constant([1], np.int64), axis=0)
    shape = g.node("Concat", g.constant([1], np.int64), batch, g.constant([hidden], np.int64), axis=0)
    zeros = [g.node("ConstantOfShape", shape, value=numpy_helper.from_array(np.zeros(1, np.float32))) for _ in range(outputs - 1)]
    repeats = hidden // DIM
    w, r = (g.constant(g.random.normal(0, 0.4 / repeats, (1, gates * DIM, DIM))) for _ in range(2))
    b = g.constant(g.random.normal(0, 0.1, (1, 2 * gates * DIM)))
    if repeats > 1:
        tile = lambda values, *times: g.node("Tile", values, g.constant([1, *times], np.int64))
        w, r, b = tile(w, repeats, 1), tile(r, repeats, repeats), tile(b, repeats)
    all_states, last, *_ = g.node(op, x, w, r, b, "", *zeros, outputs=outputs, hidden_size=hidden, **attributes)
    last = g.node("Squeeze", last, g.constant([0], np.int64))
    if whole:
        # [length, direction, batch, hidden]
        last = g.node("Add", last, g.node("ReduceSum", all_states, g.constant([0, 1], np.int64), keepdims=0))
    g.save(path, g.unit(g.linear(last, hidden, DIM)))


def main(folder):
    attention(folder / "pytorch-attention.onnx")
    keras_dense(folder / "keras-dense.onnx")
    recurrent(folder / "pytorch-gru.onnx", "GRU", 3, 2, 3, linear_before_reset=1)
    recurrent(folder / "pytorch-gru-wide.onnx", "GRU", 3, 2, 6, hidden=72, sliced=False, whole=True, linear_before_reset=1, direction="reverse")
    recurrent(folder / "keras-gru.onnx", "GRU", 3, 2, 4, sliced=False, whole=True, linear_before_reset=0, direction="reverse")
    recurrent(folder / "pytorch-lstm.onnx", "LSTM", 4, 3, 5)
    leaky_relu(folder / "pytorch-leaky-relu.onnx")
    reverse_sequence(folder / "keras-reverse-sequence.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
