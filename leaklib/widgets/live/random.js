// PyTorch's random numbers on the CPU, and what leaklib draws from them: the same seed gives the same network.

import {layout} from "./network.js";

/** @import {Initialisation} from "./types.js" */

const WORDS = 624; // words of the Mersenne twister
const BLOCK = 16; // PyTorch makes normal numbers in blocks of 16, and fewer than 16 in another way

/** PyTorch's CPU generator: the Mersenne twister MT19937, and its distributions in float32. */
export class Torch {
  /** @param {number} seed of 32 bits; of a longer one PyTorch takes the lower half */
  constructor(seed) {
    this.state = new Uint32Array(WORDS);
    this.state[0] = seed;
    for (let i = 1; i < WORDS; i++) {
      const last = this.state[i - 1];
      this.state[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
    this.next = WORDS;
    /** @type {number | null} */
    this.spare = null; // normal numbers come in pairs where fewer than 16 are drawn
  }

  /** @returns {number} 32 random bits */
  bits() {
    if (this.next === WORDS) this.#twist();
    let word = this.state[this.next++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #twist() {
    const {state} = this;
    for (let i = 0; i < WORDS; i++) {
      const word = (state[i] & 0x80000000) | (state[(i + 1) % WORDS] & 0x7fffffff);
      state[i] = state[(i + 397) % WORDS] ^ (word >>> 1) ^ (word & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }

  /**
   * As `torch.empty(n).uniform_(from, to)`: 24 random bits for each number.
   * @param {number} n
   * @param {number} from
   * @param {number} to
   * @returns {Float32Array}
   */
  uniform(n, from, to) {
    const low = Math.fround(from);
    const width = Math.fround(Math.fround(to) - low);
    return Float32Array.from({length: n}, () => ((this.bits() & 0xffffff) / 2 ** 24) * width + low);
  }

  /**
   * As `torch.randn(n)`, by Box and Muller's method.
   * @param {number} n
   * @returns {Float32Array}
   */
  normal(n) {
    if (n < BLOCK) return Float32Array.from({length: n}, () => this.#single());
    const numbers = this.uniform(n, 0, 1);
    for (let i = 0; i + BLOCK <= n; i += BLOCK) boxMuller(numbers.subarray(i, i + BLOCK));
    if (n % BLOCK) {
      const last = numbers.subarray(n - BLOCK); // the last 16 are drawn anew, over those that are there
      last.set(this.uniform(BLOCK, 0, 1));
      boxMuller(last);
    }
    return numbers;
  }

  /** @returns {number} one normal number, from 53 random bits; its twin is kept for the next call */
  #single() {
    if (this.spare !== null) {
      const number = this.spare;
      this.spare = null;
      return number;
    }
    const angle = 2 * Math.PI * this.#double();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#double()));
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** @returns {number} uniform in [0, 1), 53 bits */
  #double() {
    const high = this.bits() & 0x1fffff;
    return (high * 2 ** 32 + this.bits()) / 2 ** 53;
  }
}

/**
 * 16 uniform numbers to normal ones, in place: the first eight give the radii, the others the angles. Rounded to
 * float32 where PyTorch rounds.
 * @param {Float32Array} numbers
 */
function boxMuller(numbers) {
  const turn = Math.fround(2 * Math.PI);
  for (let i = 0; i < BLOCK / 2; i++) {
    const radius = Math.fround(Math.sqrt(-2 * Math.fround(Math.log(1 - numbers[i]))));
    const angle = Math.fround(turn * numbers[i + BLOCK / 2]);
    numbers[i] = radius * Math.cos(angle);
    numbers[i + BLOCK / 2] = radius * Math.sin(angle);
  }
}

/**
 * The weights of leaklib's `LeNet(channels=channels, init_scale=None or 0.5).build(seed)`, in the flat order of
 * its parameters.
 * @param {Initialisation} initialisation
 * @param {number} channels
 * @param {{init: number, LeNet: number}} seeds of leaklib's streams of these names, 32 bits each
 * @returns {Float64Array}
 */
export function initialWeights(initialisation, channels, seeds) {
  const torch = new Torch(initialisation === "uniform" ? seeds.LeNet : seeds.init);
  const {sizes} = layout(channels);
  const tensors = sizes.map((size, tensor) => {
    if (initialisation === "uniform") return torch.uniform(size, -0.5, 0.5);
    const isBias = tensor % 2 === 1;
    const inputs = isBias ? sizes[tensor - 1] / size : size / sizes[tensor + 1]; // of a neuron
    // PyTorch's own bounds: 1/√inputs, and Kaiming's for a = √5, which is the same up to rounding.
    const bound = isBias ? 1 / Math.sqrt(inputs) : Math.sqrt(3) * (Math.sqrt(2 / 6) / Math.sqrt(inputs));
    return torch.uniform(size, -bound, bound);
  });
  return Float64Array.from(tensors.flatMap(tensor => [...tensor]));
}

/**
 * Where a search starts: pictures near mid-gray, 0.5 + 0.1 z with normal z, in float32.
 * @param {Torch} torch
 * @param {number} n
 * @returns {Float64Array}
 */
export function startNear(torch, n) {
  const tenth = Math.fround(0.1);
  return Float64Array.from(torch.normal(n), z => Math.fround(0.5 + Math.fround(tenth * z)));
}
