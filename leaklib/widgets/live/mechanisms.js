// What a client does to its gradient before it sends it, and what an attacker who knows that can compare. Formulas
// and reasons are leaklib's: mechanisms/quantize.py, sign.py, top_k.py, gaussian.py and the bits of parts/base.py.

import {tensorOf} from "./network.js";

/** @import {Distance, Layout, Mechanism, Update} from "./types.js" */

const NUMBER = 32; // bits of a float32
const COARSE = 4; // bits up to which levels are compared as intervals
const SHARPNESS = 20; // of the smooth sign, in units of the candidate's median
const SMALLEST = 1e-300; // keeps 0 / 0 away, and 0 · ∞

/**
 * What leaves the client.
 * @param {Mechanism} mechanism
 * @param {Float64Array} gradient `layout.total` float32 numbers; stays as it is
 * @param {Layout} layout
 * @param {{normal: (count: number) => Float32Array}} torch draws the noise, tensor by tensor as leaklib does
 * @param {number} examples behind the gradient
 * @returns {Update}
 */
export function send(mechanism, gradient, layout, torch, examples) {
  const total = layout.total;
  let sent = Float64Array.from(gradient);
  let bits = NUMBER * total;
  switch (mechanism.kind) {
    case "bits":
      sent = rounded(gradient, layout, mechanism.bits);
      bits = mechanism.bits * total + NUMBER * layout.sizes.length;
      break;
    case "signs":
      sent = gradient.map(value => value < 0 ? -1 : 1);
      bits = total;
      break;
    case "top": {
      const kept = keptEntries(mechanism.fraction, total);
      sent = largestEntries(gradient, kept);
      bits = NUMBER * kept + Math.min(kept * Math.ceil(Math.log2(total)), total);
      break;
    }
    case "noise": {
      const scale = Math.fround(clippingFactor(gradient, mechanism.clip));
      const deviation = Math.fround(mechanism.multiplier * mechanism.clip);
      layout.offsets.forEach((offset, tensor) => torch.normal(layout.sizes[tensor]).forEach((noise, i) => {
        sent[offset + i] = Math.fround(Math.fround(gradient[offset + i] * scale) + Math.fround(deviation * noise));
      }));
    }
  }
  return {sent, mechanism, examples, bits};
}

/**
 * The distance that suits what was done to the update.
 * @param {Update} update
 * @param {Layout} layout
 * @returns {Distance}
 */
export function distance(update, layout) {
  const {sent, mechanism} = update;
  switch (mechanism.kind) {
    case "bits":
      return mechanism.bits === 1 ? smoothSigns(sent) : inSteps(sent, layout, mechanism.bits);
    case "signs":
      return smoothSigns(sent);
    case "top":
      return beyondLimit(sent);
    case "noise":
      return afterClipping(sent, mechanism.clip);
    default:
      return (candidate, direction) => squaredError(candidate, sent, squaredNorm(sent), direction);
  }
}

/**
 * The distance that the true pictures are expected to have: what noise or rounding to the nearest level leaves. 0
 * where they have none (all or the largest entries were sent, intervals are compared), and for signs, where it
 * depends on how many entries are small.
 * @param {Update} update
 * @param {Layout} layout
 * @returns {number}
 */
export function noiseFloor({sent, mechanism}, layout) {
  if (mechanism.kind === "noise") {
    return layout.total * (mechanism.multiplier * mechanism.clip) ** 2 / squaredNorm(sent);
  }
  if (mechanism.kind !== "bits" || mechanism.bits <= COARSE) return 0;
  const steps = stepOfEntries(sent, layout, mechanism.bits);
  const levels = sent.map((value, i) => Math.abs(value) / steps[i]);
  const zeros = levels.filter(level => level < 0.5).length;
  const small = levels.filter(level => level < 1.5).length;
  // How many entries lie within t of zero grows as a power of t: 1 where they are spread evenly.
  const power = zeros ? Math.log(small / zeros) / Math.log(3) : 1;
  return ((layout.total - zeros) / 12 + zeros / 4 * power / (power + 2)) / squaredNorm(levels);
}

/** @param {Float64Array} values */
function squaredNorm(values) {
  return values.reduce((sum, value) => sum + value * value, 0);
}

/**
 * ‖candidate − sent‖² / norm, and its derivative.
 * @param {Float64Array} candidate
 * @param {Float64Array} sent
 * @param {number} norm of `sent`, squared
 * @param {Float64Array} direction
 */
function squaredError(candidate, sent, norm, direction) {
  let sum = 0;
  for (let i = 0; i < sent.length; i++) {
    const miss = candidate[i] - sent[i];
    sum += miss * miss;
    direction[i] = 2 * miss / norm;
  }
  return sum / norm;
}

/** What brings the norm of `gradient` down to `clip`, at most 1. @param {Float64Array} gradient @param {number} clip */
function clippingFactor(gradient, clip) {
  return Math.min(1, clip / Math.max(Math.sqrt(squaredNorm(gradient)), SMALLEST));
}

/**
 * Squared error of the clipped candidate: how long a gradient was is not compared.
 * @param {Float64Array} sent
 * @param {number} clip
 * @returns {Distance}
 */
function afterClipping(sent, clip) {
  const norm = squaredNorm(sent);
  const clipped = new Float64Array(sent.length);
  return (candidate, direction) => {
    const factor = clippingFactor(candidate, clip);
    if (factor === 1) return squaredError(candidate, sent, norm, direction);
    for (let i = 0; i < clipped.length; i++) clipped[i] = candidate[i] * factor;
    const loss = squaredError(clipped, sent, norm, direction);
    // The clipped candidate moves on a sphere: only what is at a right angle to it passes.
    let along = 0;
    for (let i = 0; i < clipped.length; i++) along += direction[i] * clipped[i];
    along /= clip * clip;
    for (let i = 0; i < clipped.length; i++) direction[i] = factor * (direction[i] - along * clipped[i]);
    return loss;
  };
}

/** Steps between the lowest and the highest level: even, so that 0 is a level, or 1. @param {number} bits */
function gapsBetween(bits) {
  return Math.max(2 ** bits - 2, 1);
}

/** @param {Float64Array} values */
function largestMagnitude(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/**
 * Every entry at the nearest level of its tensor.
 * @param {Float64Array} gradient
 * @param {Layout} layout
 * @param {number} bits
 */
function rounded(gradient, layout, bits) {
  const gaps = gapsBetween(bits);
  const sent = new Float64Array(layout.total);
  layout.sizes.forEach((_, tensor) => {
    const values = tensorOf(layout, gradient, tensor), largest = largestMagnitude(values);
    tensorOf(layout, sent, tensor).set(values.map(value => {
      const position = (value / Math.max(largest, SMALLEST) + 1) * (gaps / 2);
      const level = Math.min(gaps, Math.max(0, Math.floor(position + 0.5)));
      return Math.fround((level * (2 / gaps) - 1) * largest);
    }));
  });
  return sent;
}

/**
 * The step between two levels, for every entry; 1 where a whole tensor is zero.
 * @param {Float64Array} sent
 * @param {Layout} layout
 * @param {number} bits
 */
function stepOfEntries(sent, layout, bits) {
  const steps = new Float64Array(layout.total);
  layout.sizes.forEach((_, tensor) => {
    const largest = largestMagnitude(tensorOf(layout, sent, tensor));
    tensorOf(layout, steps, tensor).fill(2 * largest / gapsBetween(bits) || 1);
  });
  return steps;
}

/**
 * Squared error in units of each tensor's step. Up to 4 bits only what leaves the interval that rounds to the
 * level counts.
 * @param {Float64Array} sent
 * @param {Layout} layout
 * @param {number} bits
 * @returns {Distance}
 */
function inSteps(sent, layout, bits) {
  const steps = stepOfEntries(sent, layout, bits);
  const levels = sent.map((value, i) => value / steps[i]);
  const norm = squaredNorm(levels);
  const tolerance = bits <= COARSE ? 0.5 : 0;
  return (candidate, direction) => {
    let sum = 0;
    for (let i = 0; i < levels.length; i++) {
      const guess = candidate[i] / steps[i];
      const miss = beyond(guess - levels[i], tolerance);
      sum += miss * miss;
      direction[i] = 2 * miss / steps[i] / norm;
    }
    return sum / norm;
  };
}

/** What of `value` lies outside of −limit..limit. @param {number} value @param {number} limit */
function beyond(value, limit) {
  return value - Math.min(limit, Math.max(-limit, value));
}

/**
 * Squared error of tanh(20 · candidate / median), so that the search feels which entries are about to flip. The
 * median moves along and is not differentiated.
 * @param {Float64Array} sent of which only the signs count
 * @returns {Distance}
 */
function smoothSigns(sent) {
  const signs = sent.map(Math.sign);
  const norm = squaredNorm(signs);
  const sizes = new Float64Array(sent.length);
  return (candidate, direction) => {
    for (let i = 0; i < sizes.length; i++) sizes[i] = Math.abs(candidate[i]);
    const sharpness = SHARPNESS / Math.max(lowerMedian(sizes), SMALLEST);
    let sum = 0;
    for (let i = 0; i < signs.length; i++) {
      const smooth = Math.tanh(candidate[i] * sharpness);
      const miss = smooth - signs[i];
      sum += miss * miss;
      direction[i] = 2 * miss / norm * (1 - smooth * smooth) * sharpness;
    }
    return sum / norm;
  };
}

/**
 * The middle value, of an even number the lower one, by quickselect: sorting would take as long as the gradient.
 * @param {Float64Array} values are reordered
 */
function lowerMedian(values) {
  const middle = (values.length - 1) >> 1;
  let first = 0, last = values.length - 1;
  while (first < last) {
    const pivot = values[(first + last) >> 1];
    let left = first, right = last;
    while (left <= right) {
      while (values[left] < pivot) left++;
      while (values[right] > pivot) right--;
      if (left <= right) {
        const value = values[left];
        values[left++] = values[right];
        values[right--] = value;
      }
    }
    if (middle <= right) last = right;
    else if (middle >= left) first = left;
    else break;
  }
  return values[middle];
}

/** How many of `total` entries are kept; halves go to the even number, as in Python. @param {number} fraction @param {number} total */
function keptEntries(fraction, total) {
  const exact = fraction * total;
  const nearest = Math.round(exact);
  return Math.max(1, nearest - exact === 0.5 && nearest % 2 ? nearest - 1 : nearest);
}

/**
 * The `kept` entries of largest magnitude where they stand, zero elsewhere; of equal ones the first.
 * @param {Float64Array} gradient
 * @param {number} kept
 */
function largestEntries(gradient, kept) {
  const order = Array.from(gradient.keys()).sort((a, b) => Math.abs(gradient[b]) - Math.abs(gradient[a]));
  const sent = new Float64Array(gradient.length);
  for (const i of order.slice(0, kept)) sent[i] = gradient[i];
  return sent;
}

/**
 * Squared error of the kept entries, and of the others what exceeds the smallest kept one.
 * @param {Float64Array} sent
 * @returns {Distance}
 */
function beyondLimit(sent) {
  const norm = squaredNorm(sent);
  const limit = sent.reduce((least, value) => value === 0 ? least : Math.min(least, Math.abs(value)), Infinity);
  return (candidate, direction) => {
    let sum = 0;
    for (let i = 0; i < sent.length; i++) {
      const miss = sent[i] === 0 ? beyond(candidate[i], limit) : candidate[i] - sent[i];
      sum += miss * miss;
      direction[i] = 2 * miss / norm;
    }
    return sum / norm;
  };
}
