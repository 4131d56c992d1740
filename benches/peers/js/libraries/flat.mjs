// A scan of all rows, as a shop would write it that installs nothing: one loop over a typed array with four sums. In V8 on x86-64
// single precision by Math.fround took twice as long, and a longer body gained less than a tenth. Of int8 rows the products with a query
// in floating point took as long as whole numbers' did with a rounded one, and find more of the best.

const LARGEST = 127;

/** The k best rows so far, worst of them first: a binary heap over two typed arrays. */
class Best {
  constructor(k) {
    this.scores = new Float64Array(k).fill(-Infinity);
    this.rows = new Uint32Array(k);
  }

  /** Puts a row that beats the worst one in its place, and lets it sink. */
  replaceWorst(score, row) {
    const { scores, rows } = this;
    const k = rows.length;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= k) break;
      if (child + 1 < k && scores[child + 1] < scores[child]) child += 1;
      if (scores[child] >= score) break;
      scores[at] = scores[child];
      rows[at] = rows[child];
      at = child;
    }
    scores[at] = score;
    rows[at] = row;
  }

  sortedRows() {
    return Array.from(this.rows.keys()).sort((a, b) => this.scores[b] - this.scores[a]).map((at) => this.rows[at]);
  }
}

function checkWidth(dim) {
  if (dim % 4 !== 0) throw new Error(`the flat scans need a dim that is a multiple of 4, and this is ${dim}`);
}

/** The k best rows; `scales` is null where a row's values are already what they stand for. */
function scan({ values, scales }, dim, query, k) {
  // In double precision the loop need not convert the query's values again for each row.
  const q = Float64Array.from(query);
  const best = new Best(k);
  for (let row = 0, at = 0; at < values.length; row += 1) {
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < dim; i += 4, at += 4) {
      a += values[at] * q[i];
      b += values[at + 1] * q[i + 1];
      c += values[at + 2] * q[i + 2];
      d += values[at + 3] * q[i + 3];
    }
    const score = (a + b + c + d) * (scales === null ? 1 : scales[row]);
    if (score > best.scores[0]) best.replaceWorst(score, row);
  }
  return best.sortedRows();
}

/** Each row by its own largest value: with one scale for all, too many of the true best were lost among 100,000 rows. */
function quantised(base, dim) {
  const values = new Int8Array(base.length);
  const scales = new Float32Array(base.length / dim);
  scales.forEach((_, row) => {
    const vector = base.subarray(row * dim, (row + 1) * dim);
    const scale = vector.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / LARGEST;
    vector.forEach((value, i) => {
      values[row * dim + i] = Math.round(value / scale);
    });
    scales[row] = scale;
  });
  return { values, scales };
}

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

class Scan {
  constructor(dim) {
    checkWidth(dim);
    this.dim = dim;
  }

  setEf() {}

  search(query, k) {
    return scan(this.rows, this.dim, query, k);
  }

  memoryBytes() {
    return this.rows.values.byteLength + (this.rows.scales?.byteLength ?? 0);
  }
}

class ScanF32 extends Scan {
  build({ base }) {
    this.rows = { values: base, scales: null };
  }

  async serialise() {
    return bytesOf(this.rows.values);
  }

  async load(bytes) {
    this.rows = { values: new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float32Array.BYTES_PER_ELEMENT), scales: null };
  }
}

/** Saved as the scales, which thereby stay aligned, and then the values. */
class ScanInt8 extends Scan {
  build({ base }) {
    this.rows = quantised(base, this.dim);
  }

  async serialise() {
    const { values, scales } = this.rows;
    const bytes = new Uint8Array(scales.byteLength + values.byteLength);
    bytes.set(bytesOf(scales));
    bytes.set(bytesOf(values), scales.byteLength);
    return bytes;
  }

  async load(bytes, { n }) {
    const scales = new Float32Array(bytes.buffer, bytes.byteOffset, n);
    this.rows = { scales, values: new Int8Array(bytes.buffer, bytes.byteOffset + scales.byteLength, n * this.dim) };
  }
}

const ours = { version: async () => "own code", hasEf: false };

export const flatF32 = { ...ours, note: "exact; memory is the rows alone", open: async (_host, { dim }) => new ScanF32(dim) };

export const flatInt8 = {
  ...ours,
  note: "one scale for each row, the query in floating point; memory is the rows alone",
  open: async (_host, { dim }) => new ScanInt8(dim),
};
