// The search of leaklib (attacks/search/matching.py and optimizers.py), with one start at a time and known labels:
// find pictures whose gradient looks like the one that was sent.
//
// L-BFGS has no line search. It takes one gradient a step and can wander off; the search then goes back to its best
// point. A start that no longer improves is over: it explains the update, or it is stuck and the search begins again
// from fresh noise.

/** @import {Distance, Engine, Step} from "./types.js" */

const CURVATURE = 1e-10; // a pair is remembered if sᵀy exceeds this share of ‖s‖ ‖y‖
const PATIENCE = 200; // a start is over when this many evaluations did not lower its lowest loss by a tenth
const STRAY = 40; // after so many evaluations without a new best, back to the best point with a fresh memory
const STUCK = 1e-3; // a start that is over above this share of its yardstick was stuck
const FITTED = 0.8; // a search of a noisy update is over once it has fitted this share of the noise it can fit
// Losses are relative, and what was sent is rounded to float32: of mid-gray below this, a share of STUCK is rounding.
const ROUNDING = 2 ** -46 / STUCK;

/** Limited-memory BFGS on the engine's pictures and their slope, in the two loops of Nocedal. */
export class LBFGS {
  /**
   * @param {Engine} engine
   * @param {number} history how many pairs of moves and changes of the slope are remembered, at least 2
   */
  constructor(engine, history) {
    this.engine = engine;
    this.history = history;
    /** @type {Float64Array[]} */
    this.moves = []; // s, the oldest first
    /** @type {Float64Array[]} */
    this.changes = []; // y
    /** @type {number[]} */
    this.curvatures = []; // sᵀy
    this.scale = 1; // γ = sᵀy / yᵀy of the last pair
    this.lastPoint = engine.vector(engine.pictures.length);
    this.lastSlope = engine.vector(engine.pictures.length);
    this.step = engine.vector(engine.pictures.length);
    this.count = 0; // pairs in use
    this.began = false;
  }

  /** Begin anew, with what memory there is. */
  forget() {
    this.count = 0;
    this.began = false;
  }

  /** Move the pictures along the quasi-Newton direction. */
  move() {
    const {engine: {pictures, slope, add}, lastPoint, lastSlope} = this;
    if (this.began) this.#remember();
    this.began = true;
    lastPoint.set(pictures);
    lastSlope.set(slope);
    add(-1, this.#timesInverseHessian(), pictures);
  }

  #remember() {
    const {engine: {pictures, slope, dot, add, vector}, moves, changes, count: k, history} = this;
    const move = moves[k] ??= vector(pictures.length);
    const change = changes[k] ??= vector(pictures.length);
    move.set(pictures);
    add(-1, this.lastPoint, move);
    change.set(slope);
    add(-1, this.lastSlope, change);
    const curvature = dot(move, change);
    const square = dot(change, change);
    if (!(curvature > CURVATURE * Math.sqrt(dot(move, move)) * Math.sqrt(square))) return;
    this.curvatures[k] = curvature;
    this.scale = curvature / square;
    this.count++;
    if (this.count < history) return;
    // Full: as in leaklib the older half goes at once, so that both run alike.
    const half = history >> 1;
    for (const list of [moves, changes, this.curvatures]) list.push(.../** @type {any[]} */ (list.splice(0, half)));
    this.count -= half;
  }

  /** @returns {Float64Array} H slope */
  #timesInverseHessian() {
    const {engine: {slope, dot, add}, moves, changes, curvatures, count, step} = this;
    step.set(slope);
    if (count === 0) { // nothing is known of the curvature: a step of L1 length at most 1
      const length = slope.reduce((sum, value) => sum + Math.abs(value), 0);
      multiply(step, 1 / Math.max(1, length));
      return step;
    }
    const along = new Float64Array(count);
    for (let k = count - 1; k >= 0; k--) {
      along[k] = dot(moves[k], step) / curvatures[k];
      add(-along[k], changes[k], step);
    }
    multiply(step, this.scale);
    for (let k = 0; k < count; k++) add(along[k] - dot(changes[k], step) / curvatures[k], moves[k], step);
    return step;
  }
}

/** @param {Float64Array} vector @param {number} factor */
function multiply(vector, factor) {
  for (let i = 0; i < vector.length; i++) vector[i] *= factor;
}

/**
 * Minimise the distance over the engine's pictures; its weights and targets stand. A Step after each evaluation; at
 * the end why it is over, in the words of leaklib's `Reconstruction.stop`: "floor" (the lowest loss is below `enough`),
 * "solved" (explains the update), "budget" (all evaluations spent) or "stuck" (all starts).
 * @param {Engine} engine
 * @param {Distance} distanceOf
 * @param {object} options
 * @param {() => Float64Array} options.draw a fresh start
 * @param {number} options.gray D of mid-gray pictures
 * @param {number} [options.evaluations] in all starts
 * @param {number} [options.restarts] how often a stuck search may begin again
 * @param {number} [options.history] pairs that L-BFGS remembers
 * @param {number} [options.enough] the loss below which the search is over: what noise or rounding leaves of the truth
 * @returns {Generator<Step, "solved" | "floor" | "stuck" | "budget", void>}
 */
export function* search(engine, distanceOf, options) {
  const {draw, evaluations = 6000, restarts = 3, history = 100, enough = 0} = options;
  const {pictures} = engine;
  const optimizer = new LBFGS(engine, history);
  const best = new Float64Array(pictures.length); // of all starts
  const own = new Float64Array(pictures.length); // of this start
  let {gray} = options;
  let [spent, strays, lowest] = [0, 0, Infinity];
  for (let restart = 0; ; restart++) {
    pictures.set(draw());
    optimizer.forget();
    own.set(pictures);
    if (lowest === Infinity) best.set(pictures);
    let [low, milestone, since, newest] = [Infinity, Infinity, 0, 0];
    for (let count = 1; spent < evaluations; count++) {
      const loss = misfit(engine, distanceOf);
      spent++;
      if (loss < low) {
        [low, newest] = [loss, count];
        own.set(pictures);
      }
      if (loss < lowest) {
        lowest = loss;
        best.set(pictures);
      }
      if (low < 0.9 * milestone) [milestone, since] = [low, count];
      // Where mid-gray is as good as the truth, it measures nothing: the first start takes its place.
      if (spent === 1 && gray <= Math.max(enough, ROUNDING)) gray = loss;
      yield {evaluations: spent, loss, lowest, best, restart, strays};
      if (lowest < enough) return "floor";
      if (count - since >= PATIENCE || !Number.isFinite(loss)) break;
      if (restart < restarts && count === PATIENCE && low > gray) break;
      if (count - newest >= STRAY) {
        pictures.set(own);
        optimizer.forget();
        newest = count;
        strays++;
      } else optimizer.move();
    }
    if (lowest <= STUCK * yardstick(gray)) return "solved";
    if (spent >= evaluations) return "budget";
    if (restart === restarts) return "stuck";
  }
}

/**
 * The loss below which a search mostly fits noise: with all unknowns it would leave 1 − unknowns / equations of the floor.
 * 0 where it gets below STUCK of its yardstick: noise that small misleads nobody, and nothing is begun again anyway.
 * @param {number} floor what the truth is expected to score
 * @param {number} gray what mid-gray scores
 * @param {number} unknowns
 * @param {number} equations
 */
export function fitted(floor, gray, unknowns, equations) {
  const end = floor * (1 - FITTED * unknowns / equations);
  return end > STUCK * yardstick(gray) ? end : 0;
}

/**
 * What a loss is judged by: what mid-gray pictures score, or all zeros, where these score less.
 * @param {number} gray
 */
function yardstick(gray) {
  return Math.min(gray, 1);
}

/**
 * D at the engine's pictures; ∂D/∂pictures is left in its `slope`.
 * @param {Engine} engine
 * @param {Distance} distanceOf
 * @returns {number}
 */
export function misfit(engine, distanceOf) {
  engine.evaluate();
  const loss = distanceOf(engine.gradient, engine.direction);
  engine.mixed();
  return loss;
}
