"""Trains a plain two-tower in JAX for some steps and prints a line of JSON: python step.py CONFIG STEPS

The step is nearshelf's: the candidate tower on the distinct items of the batch, histories pooled from its embeddings, the query
tower, the softmax within the batch with logQ and without accidental hits, Adagrad on all of it, in single precision. Jitted whole,
with donated buffers. Batches are made beforehand, and compilation is over before the clock starts.
"""

import json
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from batches import CONTEXTS, NUMBERS, Data

INITIAL_ACCUMULATOR, EPSILON, NORM_FLOOR = 1e-8, 1e-7, 1e-6
TABLES = ("ids", "tokens", "labels", "contexts")
# nearshelf's defaults, where a description leaves them out.
TOKEN_DIM, LABEL_DIM, CONTEXT_DIM = 32, 16, 8
TABLE_RATE, DENSE_RATE, WARM_UP, LAST = 0.1, 0.03, 0.1, 0.05


def fresh(data, seed=1):
    rng = np.random.default_rng(seed)
    dim, hidden = data.model["dim"], data.model["hidden"]
    uniform = lambda limit, *shape: rng.uniform(-limit, limit, shape).astype(np.float32)
    inputs = dim + TOKEN_DIM + data.labels.shape[1] * LABEL_DIM + NUMBERS
    table = 0.1 * 3**0.5
    weights = {
        "ids": uniform(table, data.item_count + 1, dim),
        "tokens": uniform(table, data.token_rows, TOKEN_DIM),
        "labels": uniform(table, data.label_rows, LABEL_DIM),
        "contexts": uniform(table, sum(CONTEXTS), CONTEXT_DIM),
    }
    for tower, width in [("candidate", inputs), ("query", dim + len(CONTEXTS) * CONTEXT_DIM)]:
        weights[tower] = (
            uniform((6 / width) ** 0.5, width, hidden),
            np.zeros((1, hidden), np.float32),
            uniform(0.1 * (6 / hidden) ** 0.5, hidden, dim),
            np.zeros((1, dim), np.float32),
        )
    return jax.tree.map(jnp.asarray, weights)


def start(data):
    weights = fresh(data)
    return weights, jax.tree.map(lambda array: jnp.full_like(array, INITIAL_ACCUMULATOR), weights)


def tower(weights, inputs):
    first, first_bias, second, second_bias = weights
    change = jax.nn.relu(inputs @ first + first_bias) @ second + second_bias
    total = inputs[:, : change.shape[1]] + change
    # The floor stands under the root, where its gradient at a zero vector is a number.
    return total * jax.lax.rsqrt(jnp.maximum((total * total).sum(1, keepdims=True), NORM_FLOOR**2))


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def head(queries, candidates, targets, log_q, temperature):
    return head_forward(queries, candidates, targets, log_q, temperature)[0]


def head_forward(queries, candidates, targets, log_q, temperature):
    scaled = candidates / temperature
    # Of unit vectors: the largest score that there can be stands in for each row's, and saves looking for it.
    largest = 1 / temperature - log_q.min()
    accidental = (targets[:, None] == targets) & ~jnp.eye(len(targets), dtype=bool)
    powers = jnp.where(accidental, 0, jnp.exp(queries @ scaled.T - (log_q + largest)))
    sums = powers.sum(1)
    value = (jnp.log(sums) + largest - (queries * scaled).sum(1) + log_q).mean()
    return value, (queries, scaled, powers, sums)


def head_backward(temperature, kept, gradient):
    """By hand: from the powers of the way forward, a third faster than what JAX derives."""
    queries, scaled, powers, sums = kept
    shares = powers * (gradient / len(sums) / sums)[:, None]
    own = gradient / len(sums)
    by_candidates = (shares.T @ queries - own * queries) / temperature
    return shares @ scaled - own * scaled, by_candidates, None, None


head.defvjp(head_forward, head_backward)


def loss(weights, features, batch, temperature):
    items = batch["items"]
    tokens, token_weights, labels = (feature[items] for feature in features)
    words = jnp.einsum("ut,utd->ud", token_weights, weights["tokens"][tokens])
    numbers = jnp.zeros((len(items), NUMBERS))
    of_labels = weights["labels"][labels].reshape(len(items), -1)
    inputs = jnp.concatenate([weights["ids"][batch["rows"]], words, of_labels, numbers], 1)
    embeddings = tower(weights["candidate"], inputs)
    pooled = jnp.einsum("bh,bhd->bd", batch["weights"], embeddings[batch["history"]])
    contexts = weights["contexts"][batch["contexts"]].reshape(len(pooled), -1)
    queries = tower(weights["query"], jnp.concatenate([pooled, contexts], 1))
    return head(queries, embeddings[batch["columns"]], batch["targets"], batch["log_q"], temperature)


def adagrad(weights, sums, gradient, rate):
    sums = sums + gradient * gradient
    return weights - rate * gradient / (jnp.sqrt(sums) + EPSILON), sums


@partial(jax.jit, donate_argnums=(0, 1), static_argnames="temperature")
def step(weights, sums, features, batch, rates, temperature):
    value, gradients = jax.value_and_grad(loss)(weights, features, batch, temperature)
    # Rows that no item of the batch touched have a gradient of zero, which Adagrad leaves where they are.
    rate = {name: rates[0] if name in TABLES else rates[1] for name in weights}
    moved = {
        name: jax.tree.map(partial(adagrad, rate=rate[name]), weights[name], sums[name], gradients[name])
        for name in weights
    }
    is_pair = lambda node: isinstance(node, tuple) and len(node) == 2
    part = lambda at: jax.tree.map(lambda pair: pair[at], moved, is_leaf=is_pair)
    return part(0), part(1), value


def schedule(at, steps):
    progress = (at + 1) / steps
    if progress < WARM_UP:
        return progress / WARM_UP
    return LAST + (1 - LAST) * (1 - progress) / (1 - WARM_UP)


def main(config, steps):
    data = Data(config)
    batches = jax.tree.map(jnp.asarray, data.batches(steps + 1))
    of_step = [{name: array[at] for name, array in batches.items()} for at in range(steps + 1)]
    features = tuple(map(jnp.asarray, (data.tokens, data.token_weights, data.labels)))
    rates = [jnp.array([TABLE_RATE, DENSE_RATE]) * schedule(at, steps) for at in range(steps)]
    losses = []
    run = partial(step, features=features, temperature=data.train["temperature"])
    # Compiles; what it trains is dropped.
    jax.block_until_ready(run(*start(data), batch=of_step[steps], rates=jnp.zeros(2)))
    weights, sums = start(data)
    jax.block_until_ready((weights, sums, of_step, rates))
    started, cpu_started = time.perf_counter(), time.process_time()
    for at in range(steps):
        weights, sums, value = run(weights, sums, batch=of_step[at], rates=rates[at])
        losses.append(value)
    jax.block_until_ready((weights, losses))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    losses = [float(value) for value in losses]
    recent = losses[-max(1, -(-steps // 10)) :]
    result = {
        "examples": steps * data.train["queries"],
        "step_seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "loss": sum(recent) / len(recent),
        "first_loss": losses[0],
        "items_of_batch": int(batches["items"].shape[1]),
        "jax": jax.__version__,
    }
    print(json.dumps(result))


main(sys.argv[1], int(sys.argv[2]))
