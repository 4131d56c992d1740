"""Writes wordllama.npy and minilm.npy beside this file: what NumPy and tokenizers make of texts.txt with the models of `cargo xtask data`.

Needs: numpy, tokenizers, safetensors. Usage: reference.py path/of/work/text
"""

import math
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

MAX_TOKENS, LAYERS, HEADS = 64, 6, 12
here, models = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[1])
texts = (here / "texts.txt").read_text(encoding="utf-8").splitlines()
erf = np.vectorize(math.erf)


def unit(x):
    return (x / np.linalg.norm(x)).astype(np.float32)


def tokenizer(folder):
    tokens = Tokenizer.from_file(str(models / folder / "tokenizer.json"))
    tokens.no_padding()
    tokens.no_truncation()
    return tokens


def wordllama():
    tokens = tokenizer("wordllama")
    (table,) = load_file(models / "wordllama/vectors.safetensors").values()
    table = table.astype(np.float64)
    return [unit(table[tokens.encode(text, add_special_tokens=False).ids].mean(0)) for text in texts]


def minilm():
    tokens = tokenizer("minilm")
    tokens.enable_truncation(MAX_TOKENS)
    weights = {k: v.astype(np.float64) for k, v in load_file(models / "minilm/model.safetensors").items()}

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * weights[name + ".weight"] + weights[name + ".bias"]

    def dense(x, name):
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def one(text):
        ids = tokens.encode(text).ids
        table = lambda part: weights[f"embeddings.{part}_embeddings.weight"]
        h = norm(table("word")[ids] + table("position")[: len(ids)] + table("token_type")[0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            base = f"encoder.layer.{layer}."
            q, k, v = (
                dense(h, f"{base}attention.self.{part}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            s = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
            o = (s / s.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(h.shape)
            h = norm(h + dense(o, base + "attention.output.dense"), base + "attention.output.LayerNorm")
            x = dense(h, base + "intermediate.dense")
            x = 0.5 * x * (1 + erf(x / math.sqrt(2)))
            h = norm(h + dense(x, base + "output.dense"), base + "output.LayerNorm")
        return unit(h.mean(0))

    return [one(text) for text in texts]


for name, vectors in (("wordllama", wordllama()), ("minilm", minilm())):
    np.save(here / f"{name}.npy", np.stack(vectors))
