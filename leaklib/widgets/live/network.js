// DLG's LeNet on a batch: its gradient, and how a distance between gradients changes with the pictures.
//
//   D(x) = dist(g(x)),  g(x) = ∇w L(w; x, y).  With R = ∂D/∂g held fixed,  ∂D/∂x = d/dε ∇x L(w + εR; x, y)  at ε = 0.
//
// That is Pearlmutter's R-operator: a forward and a backward pass, each with its tangent. No graph of the gradient is
// kept and nothing is differentiated twice by machine.

const KERNEL = 5; // every kernel is KERNEL × KERNEL,
const PADDING = 2; // with this many zeros around its input.
const CLASSES = 10;
const SIDE = 32; // of a picture, which has three colors

/**
 * The network's tensors and sizes.
 * @param {number} channels of every convolution
 * @returns {Layout}
 * @typedef {import("./types.js").Layout} Layout
 * @typedef {import("./types.js").Convolution} Convolution
 * @typedef {import("./types.js").Engine} Engine
 */
export function layout(channels) {
  /** @type {Convolution[]} */
  const convolutions = [];
  let [inputs, side] = [3, SIDE];
  for (const stride of [2, 2, 1]) {
    const rows = side / stride;
    convolutions.push({inputs, height: side, width: side, outputs: channels, rows, columns: rows, stride});
    [inputs, side] = [channels, rows];
  }
  const features = channels * side * side;
  const sizes = convolutions.flatMap(c => [c.outputs * c.inputs * KERNEL * KERNEL, c.outputs]);
  sizes.push(CLASSES * features, CLASSES);
  const names = ["conv1", "conv2", "conv3", "fc"].flatMap(name => [`${name}.weight`, `${name}.bias`]);
  const offsets = sizes.map((_, tensor) => sizes.slice(0, tensor).reduce((sum, size) => sum + size, 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return {channels, classes: CLASSES, convolutions, features, names, offsets, sizes, total};
}

/**
 * Rows of `patches`, (inputs · 25) × (rows · columns): what each weight of a kernel meets at each output. It makes a
 * convolution a product of small matrices.
 * @param {Convolution} convolution
 * @param {Float64Array} input inputs × height × width
 * @param {Float64Array} patches
 */
function gatherPatches({inputs, height, width, rows, columns, stride}, input, patches) {
  let at = 0;
  for (let channel = 0; channel < inputs; channel++) {
    for (let tap = 0; tap < KERNEL * KERNEL; tap++) {
      const [down, right] = [Math.floor(tap / KERNEL) - PADDING, (tap % KERNEL) - PADDING];
      for (let row = 0; row < rows; row++) {
        const y = row * stride + down;
        const inside = y >= 0 && y < height;
        const start = (channel * height + y) * width;
        for (let column = 0, x = right; column < columns; column++, x += stride) {
          patches[at++] = inside && x >= 0 && x < width ? input[start + x] : 0;
        }
      }
    }
  }
}

/**
 * The transpose of gatherPatches: each entry of `patches` is added to where it came from, in an input of zeros.
 * @param {Convolution} convolution
 * @param {Float64Array} patches
 * @param {Float64Array} input
 */
function scatterPatches({inputs, height, width, rows, columns, stride}, patches, input) {
  input.fill(0);
  let at = 0;
  for (let channel = 0; channel < inputs; channel++) {
    for (let tap = 0; tap < KERNEL * KERNEL; tap++) {
      const [down, right] = [Math.floor(tap / KERNEL) - PADDING, (tap % KERNEL) - PADDING];
      for (let row = 0; row < rows; row++) {
        const y = row * stride + down;
        const inside = y >= 0 && y < height;
        const start = (channel * height + y) * width;
        for (let column = 0, x = right; column < columns; column++, x += stride) {
          if (inside && x >= 0 && x < width) input[start + x] += patches[at];
          at++;
        }
      }
    }
  }
}

// The three products work on KERNEL rows at once, the weights of one row of a kernel: that always comes out even.

/**
 * c += a · b, where a is m × k, b is k × n, c is m × n.
 * @param {Float64Array} a
 * @param {Float64Array} b
 * @param {Float64Array} c
 * @param {number} m
 * @param {number} k
 * @param {number} n
 */
function addProduct(a, b, c, m, k, n) {
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p += KERNEL) {
      const at = i * k + p;
      const [a0, a1, a2, a3, a4] = [a[at], a[at + 1], a[at + 2], a[at + 3], a[at + 4]];
      let [b0, to] = [p * n, i * n];
      let [b1, b2, b3, b4] = [b0 + n, b0 + 2 * n, b0 + 3 * n, b0 + 4 * n];
      for (const end = to + n; to < end; to++) {
        c[to] += a0 * b[b0++] + a1 * b[b1++] + a2 * b[b2++] + a3 * b[b3++] + a4 * b[b4++];
      }
    }
  }
}

/**
 * c += aᵀ · b, where a is m × k, b is m × n, c is k × n.
 * @param {Float64Array} a
 * @param {Float64Array} b
 * @param {Float64Array} c
 * @param {number} m
 * @param {number} k
 * @param {number} n
 */
function addTransposedProduct(a, b, c, m, k, n) {
  for (let p = 0; p < k; p += KERNEL) {
    for (let i = 0; i < m; i++) {
      const at = i * k + p;
      const [a0, a1, a2, a3, a4] = [a[at], a[at + 1], a[at + 2], a[at + 3], a[at + 4]];
      let [c0, from] = [p * n, i * n];
      let [c1, c2, c3, c4] = [c0 + n, c0 + 2 * n, c0 + 3 * n, c0 + 4 * n];
      for (const end = from + n; from < end; from++) {
        const value = b[from];
        c[c0++] += a0 * value;
        c[c1++] += a1 * value;
        c[c2++] += a2 * value;
        c[c3++] += a3 * value;
        c[c4++] += a4 * value;
      }
    }
  }
}

/**
 * c += a · bᵀ, where a is m × n, b is k × n, c is m × k.
 * @param {Float64Array} a
 * @param {Float64Array} b
 * @param {Float64Array} c
 * @param {number} m
 * @param {number} k
 * @param {number} n
 */
function addProductTransposed(a, b, c, m, k, n) {
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p += KERNEL) {
      let [c0, c1, c2, c3, c4] = [0, 0, 0, 0, 0];
      let [from, b0] = [i * n, p * n];
      let [b1, b2, b3, b4] = [b0 + n, b0 + 2 * n, b0 + 3 * n, b0 + 4 * n];
      for (const end = from + n; from < end; from++) {
        const value = a[from];
        c0 += value * b[b0++];
        c1 += value * b[b1++];
        c2 += value * b[b2++];
        c3 += value * b[b3++];
        c4 += value * b[b4++];
      }
      const to = i * k + p;
      c[to] += c0;
      c[to + 1] += c1;
      c[to + 2] += c2;
      c[to + 3] += c3;
      c[to + 4] += c4;
    }
  }
}

/**
 * The network in plain JavaScript, where WebAssembly is missing, and what the kernel is tested against.
 * @param {number} channels 8 to 16
 * @param {number} examples 1 or 2
 * @returns {Engine}
 */
export function plainEngine(channels, examples) {
  const network = layout(channels);
  const {classes, convolutions, features, offsets, sizes, total} = network;
  const pixels = 3 * SIDE * SIDE;
  const batch = Array.from({length: examples}, () => new Example(network));
  const weights = new Float64Array(total);
  const gradient = new Float64Array(total);
  const direction = new Float64Array(total);
  const pictures = new Float64Array(examples * pixels);
  const targets = new Float64Array(examples * classes);
  const slope = new Float64Array(examples * pixels);
  /** @param {Float64Array} all @returns {Float64Array[]} the tensors of the network as views */
  const tensors = all => sizes.map((size, tensor) => all.subarray(offsets[tensor], offsets[tensor] + size));
  const [weight, partial, tangent] = [weights, gradient, direction].map(tensors);
  /** @param {Float64Array} all @param {number} e @returns {Float64Array} example e's share of a field */
  const of = (all, e) => all.subarray((e * all.length) / examples, ((e + 1) * all.length) / examples);
  const scratch = convolutions.map(c => new Float64Array(c.inputs * KERNEL * KERNEL * c.rows * c.columns));

  return {
    kind: "js", layout: network, examples, weights, pictures, targets, gradient, direction, slope,
    evaluate() {
      gradient.fill(0);
      let loss = 0;
      batch.forEach((example, e) => {
        example.forward(weight, of(pictures, e));
        loss += example.loss(weight, of(targets, e), examples);
        example.backward(weight, partial, scratch);
      });
      return loss;
    },
    mixed() {
      batch.forEach((example, e) => {
        example.forwardTangent(weight, tangent, scratch);
        example.lossTangent(weight, tangent, examples);
        example.backwardTangent(weight, tangent, of(slope, e), scratch);
      });
    },
    vector: length => new Float64Array(length),
    dot(a, b) {
      let [even, odd] = [0, 0]; // two sums: neither waits for the other
      for (let i = 1; i < a.length; i += 2) {
        even += a[i - 1] * b[i - 1];
        odd += a[i] * b[i];
      }
      const last = a.length - 1;
      return even + odd + (last % 2 === 0 ? a[last] * b[last] : 0);
    },
    add(factor, a, b) {
      for (let i = 0; i < a.length; i++) b[i] += factor * a[i];
    },
    convolve(layer, kernel, input, output) {
      const {inputs, outputs, rows, columns} = convolutions[layer];
      gatherPatches(convolutions[layer], input, scratch[layer]);
      addProduct(kernel, scratch[layer], output.fill(0), outputs, inputs * KERNEL * KERNEL, rows * columns);
    },
    correlate(layer, signal, input, kernel) {
      const {inputs, outputs, rows, columns} = convolutions[layer];
      gatherPatches(convolutions[layer], input, scratch[layer]);
      addProductTransposed(signal, scratch[layer], kernel.fill(0), outputs, inputs * KERNEL * KERNEL, rows * columns);
    },
    transpose(layer, kernel, signal, input) {
      const {inputs, outputs, rows, columns} = convolutions[layer];
      const patches = scratch[layer].fill(0);
      addTransposedProduct(kernel, signal, patches, outputs, inputs * KERNEL * KERNEL, rows * columns);
      scatterPatches(convolutions[layer], patches, input);
    },
  };
}

/** What one example leaves in each layer: `evaluate` the values, `mixed` their tangents (d/dε). */
class Example {
  /** @param {Layout} network */
  constructor({classes, convolutions, features}) {
    this.convolutions = convolutions.map(c => ({...c, taps: c.inputs * KERNEL * KERNEL, cells: c.rows * c.columns}));
    const outputs = () => this.convolutions.map(c => new Float64Array(c.outputs * c.cells));
    this.patches = this.convolutions.map(c => new Float64Array(c.taps * c.cells));
    this.activations = outputs(); // a = σ(z)
    this.sensitivities = outputs(); // ∂L/∂z
    this.upper = outputs(); // ∂L/∂a
    this.sums = outputs(); // dz/dε
    this.activationTangents = outputs();
    this.sensitivityTangents = outputs();
    this.upperTangents = outputs();
    this.features = features;
    this.probabilities = new Float64Array(classes);
    this.errors = new Float64Array(classes); // ∂L/∂logits
  }

  /**
   * Activations of the three convolutions.
   * @param {Float64Array[]} weight
   * @param {Float64Array} picture
   */
  forward(weight, picture) {
    this.convolutions.forEach((convolution, l) => {
      const {outputs, taps, cells} = convolution;
      const activation = this.activations[l];
      gatherPatches(convolution, l ? this.activations[l - 1] : picture, this.patches[l]);
      for (let o = 0; o < outputs; o++) activation.fill(weight[2 * l + 1][o], o * cells, (o + 1) * cells);
      addProduct(weight[2 * l], this.patches[l], activation, outputs, taps, cells);
      for (let i = 0; i < activation.length; i++) activation[i] = 1 / (1 + Math.exp(-activation[i]));
    });
  }

  /**
   * The last layer and the softmax: leaves `errors` and `upper` of the last convolution.
   * @param {Float64Array[]} weight
   * @param {Float64Array} target
   * @param {number} examples in the batch, whose mean is the loss
   * @returns {number} this example's share of the mean loss
   */
  loss(weight, target, examples) {
    const {features, probabilities, errors} = this;
    const [matrix, bias] = [weight[6], weight[7]];
    const [last, upper] = [this.activations[2], this.upper[2].fill(0)];
    const logits = bias.slice();
    let highest = -Infinity;
    for (let k = 0; k < logits.length; k++) {
      for (let i = 0; i < features; i++) logits[k] += matrix[k * features + i] * last[i];
      highest = Math.max(highest, logits[k]);
    }
    let sum = 0;
    for (let k = 0; k < logits.length; k++) sum += probabilities[k] = Math.exp(logits[k] - highest);
    let loss = 0;
    for (let k = 0; k < logits.length; k++) {
      probabilities[k] /= sum;
      errors[k] = (probabilities[k] - target[k]) / examples;
      loss -= (target[k] * (logits[k] - highest - Math.log(sum))) / examples;
      for (let i = 0; i < features; i++) upper[i] += errors[k] * matrix[k * features + i];
    }
    return loss;
  }

  /**
   * Adds this example's gradient to `partial`.
   * @param {Float64Array[]} weight
   * @param {Float64Array[]} partial
   * @param {Float64Array[]} scratch
   */
  backward(weight, partial, scratch) {
    const {features, errors} = this;
    for (let k = 0; k < errors.length; k++) {
      partial[7][k] += errors[k];
      for (let i = 0; i < features; i++) partial[6][k * features + i] += errors[k] * this.activations[2][i];
    }
    for (let l = 2; l >= 0; l--) {
      const {outputs, taps, cells} = this.convolutions[l];
      const [activation, sensitivity, upper] = [this.activations[l], this.sensitivities[l], this.upper[l]];
      for (let i = 0; i < sensitivity.length; i++) {
        sensitivity[i] = upper[i] * activation[i] * (1 - activation[i]);
        partial[2 * l + 1][Math.floor(i / cells)] += sensitivity[i];
      }
      addProductTransposed(sensitivity, this.patches[l], partial[2 * l], outputs, taps, cells);
      if (l) {
        addTransposedProduct(weight[2 * l], sensitivity, scratch[l].fill(0), outputs, taps, cells);
        scatterPatches(this.convolutions[l], scratch[l], this.upper[l - 1]);
      }
    }
  }

  /**
   * The tangent of `forward`, where the weights move along `tangent`.
   * @param {Float64Array[]} weight
   * @param {Float64Array[]} tangent
   * @param {Float64Array[]} scratch
   */
  forwardTangent(weight, tangent, scratch) {
    this.convolutions.forEach((convolution, l) => {
      const {outputs, taps, cells} = convolution;
      const [activation, sum] = [this.activations[l], this.sums[l]];
      for (let o = 0; o < outputs; o++) sum.fill(tangent[2 * l + 1][o], o * cells, (o + 1) * cells);
      addProduct(tangent[2 * l], this.patches[l], sum, outputs, taps, cells);
      if (l) {
        gatherPatches(convolution, this.activationTangents[l - 1], scratch[l]);
        addProduct(weight[2 * l], scratch[l], sum, outputs, taps, cells);
      }
      const moved = this.activationTangents[l];
      for (let i = 0; i < moved.length; i++) moved[i] = activation[i] * (1 - activation[i]) * sum[i];
    });
  }

  /**
   * The tangent of `loss`: leaves `upperTangents` of the last convolution.
   * @param {Float64Array[]} weight
   * @param {Float64Array[]} tangent
   * @param {number} examples
   */
  lossTangent(weight, tangent, examples) {
    const {features, probabilities, errors} = this;
    const [last, moved, upper] = [this.activations[2], this.activationTangents[2], this.upperTangents[2].fill(0)];
    const [matrix, matrixTangent] = [weight[6], tangent[6]];
    const logits = tangent[7].slice();
    let mean = 0; // of the logits' tangents under the probabilities
    for (let k = 0; k < logits.length; k++) {
      for (let i = 0, at = k * features; i < features; i++, at++) {
        logits[k] += matrixTangent[at] * last[i] + matrix[at] * moved[i];
      }
      mean += probabilities[k] * logits[k];
    }
    for (let k = 0; k < logits.length; k++) {
      const error = (probabilities[k] * (logits[k] - mean)) / examples;
      for (let i = 0, at = k * features; i < features; i++, at++) {
        upper[i] += error * matrix[at] + errors[k] * matrixTangent[at];
      }
    }
  }

  /**
   * The tangent of `backward`, down to the picture.
   * @param {Float64Array[]} weight
   * @param {Float64Array[]} tangent
   * @param {Float64Array} slope
   * @param {Float64Array[]} scratch
   */
  backwardTangent(weight, tangent, slope, scratch) {
    for (let l = 2; l >= 0; l--) {
      const {outputs, taps, cells} = this.convolutions[l];
      const [activation, sum, moved] = [this.activations[l], this.sums[l], this.sensitivityTangents[l]];
      const [upper, upperTangent, patches] = [this.upper[l], this.upperTangents[l], scratch[l].fill(0)];
      for (let i = 0; i < moved.length; i++) {
        const slopeOfSigmoid = activation[i] * (1 - activation[i]);
        moved[i] = slopeOfSigmoid * (upperTangent[i] + upper[i] * (1 - 2 * activation[i]) * sum[i]);
      }
      addTransposedProduct(weight[2 * l], moved, patches, outputs, taps, cells);
      addTransposedProduct(tangent[2 * l], this.sensitivities[l], patches, outputs, taps, cells);
      scatterPatches(this.convolutions[l], patches, l ? this.upperTangents[l - 1] : slope);
    }
  }
}
