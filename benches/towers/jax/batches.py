"""The batches of a plain two-tower, as arrays: what nearshelf draws inside its loop is drawn here beforehand."""

import csv
import re
import tomllib
import zlib
from pathlib import Path

import numpy as np

# Numbers of an item beside its vector, words and labels: price, rank, whether there is a price.
NUMBERS = 3
# Values of hour and weekday, "missing" included.
CONTEXTS = [25, 8]
# Held out from training: the last item of a user and the one before it.
HELD_OUT = 2
# Steps that are drawn and not trained, so that the first logQ is an estimate already.
WARM_UP = 40


class Data:
    """A shop's sequences and items; `config` is the description that nearshelf trains from, too."""

    def __init__(self, config_path):
        with open(config_path, "rb") as file:
            self.config = tomllib.load(file)
        base = Path(config_path).parent
        self.model, self.train = self.config["model"], self.config["train"]
        with open(base / self.config["catalogue"]["path"], newline="", encoding="utf-8") as file:
            items = list(csv.DictReader(file))
        self.item_count = len(items)
        self._features(items)
        index = {item["item"]: at for at, item in enumerate(items)}
        sequences = {}
        with open(base / self.config["events"]["path"], newline="", encoding="utf-8") as file:
            for event in csv.DictReader(file):
                sequences.setdefault(event["user"], []).append((int(event["position"]), index[event["item"]]))
        self.sequences = [[item for _, item in sorted(events)][:-HELD_OUT] for events in sequences.values()]
        self.places = [(user, at) for user, items in enumerate(self.sequences) for at in range(len(items))]

    def _features(self, items):
        buckets, most = self.model.get("token_buckets", 4096), self.model.get("max_tokens", 8)
        tokens = np.zeros((len(items), most), np.int32)
        weights = np.zeros((len(items), most), np.float32)
        levels = sorted(name for name in items[0] if name.startswith("category_"))
        labels = np.zeros((len(items), len(levels) + 1), np.int32)
        rows = {}
        for at, item in enumerate(items):
            words = re.findall(r"\w+", item["title"].lower())[:most]
            tokens[at, : len(words)] = [1 + zlib.crc32(word.encode()) % buckets for word in words]
            weights[at, : len(words)] = 1 / max(len(words), 1)
            paths = [tuple(item[name] for name in levels[: level + 1]) for level in range(len(levels))]
            paths = [path if path[-1] else None for path in paths] + [("brand", item["brand"]) if item["brand"] else None]
            labels[at] = [rows.setdefault(path, len(rows) + 1) if path else 0 for path in paths]
        self.token_rows, self.label_rows = buckets + 1, len(rows) + 1
        self.tokens, self.token_weights, self.labels = tokens, weights, labels

    def batches(self, count, seed=1):
        """Arrays by name, `[count, ...]`. Distinct items are filled up to the most that a batch has: shapes are static in JAX."""
        rng = np.random.default_rng(seed)
        frequency = np.zeros(self.item_count)
        for _ in range(WARM_UP):
            np.add.at(frequency, self._draw(rng)[2], 1)
        drawn = []
        for _ in range(count):
            batch = self._draw(rng)
            np.add.at(frequency, batch[2], 1)
            drawn.append((*batch, np.log(np.maximum(frequency, 0.5) / (frequency.sum() + 0.5 * self.item_count))))
        distinct = [np.unique(np.concatenate([history[weights > 0], targets])) for history, weights, targets, _, _ in drawn]
        most = max(map(len, distinct))
        return stacked([self._batch(rng, most, items, *batch) for items, batch in zip(distinct, drawn)])

    def _draw(self, rng):
        count, length, decay = self.train["queries"], self.model["history"], self.model["history_decay"]
        history = np.zeros((count, length), np.int32)
        weights = np.zeros((count, length), np.float32)
        targets = np.zeros(count, np.int32)
        contexts = np.zeros((count, len(CONTEXTS)), np.int32)
        for query, place in enumerate(rng.integers(len(self.places), size=count)):
            user, at = self.places[place]
            newest_first = list(dict.fromkeys(reversed(self.sequences[user][:at])))[:length]
            if rng.random() < 0.1:
                newest_first = newest_first[: rng.integers(11)]
            targets[query] = self.sequences[user][at]
            history[query, : len(newest_first)] = newest_first
            of_query = decay ** np.arange(len(newest_first))
            weights[query, : len(newest_first)] = of_query / max(of_query.sum(), 1e-9)
            # Positions are seconds: always the same hour and day, or "missing" behind context dropout.
            contexts[query] = np.where(rng.random(2) < 0.2, 0, [1, 4]) + [0, CONTEXTS[0]]
        return history, weights, targets, contexts

    def _batch(self, rng, most, items, history, weights, targets, contexts, log_q):
        slots = np.zeros(self.item_count, np.int32)
        slots[items] = np.arange(len(items))
        filled = np.zeros(most, np.int32)
        filled[: len(items)] = items
        rows = np.where(rng.random(most) < 0.1, 0, filled + 1)
        rows[len(items) :] = 0
        return {
            "items": filled,
            "rows": rows.astype(np.int32),
            "history": np.where(weights > 0, slots[history], 0).astype(np.int32),
            "weights": weights,
            "targets": targets,
            "columns": slots[targets],
            "contexts": contexts,
            "log_q": log_q[targets].astype(np.float32),
        }


def stacked(batches):
    return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
