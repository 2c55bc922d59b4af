// The client and the server at work beside the page, as jobs that share nothing but what the page hands to each.
// Jobs take turns; between two turns messages are heard.

import {peel} from "./closed.js";
import {compiledEngine, compileKernel} from "./compiled.js";
import {inferLabels} from "./labels.js";
import {distance, noiseFloor, send} from "./mechanisms.js";
import {PIXELS, layout, plainEngine} from "./network.js";
import {startNear, Torch} from "./random.js";
import {fitted, misfit, search} from "./search.js";

/** @import {Engine, Frame, Mechanism, Network, Reply, Request, Update} from "./types.js" */
/**
 * @typedef {Extract<Request, {type: "share"}>} Share
 * @typedef {Extract<Request, {type: "attack"}>} Attack
 * @typedef {Extract<Reply, {type: "done"}>["reason"]} Reason
 * @typedef {(channels: number, examples: number) => Engine} Factory
 */

/**
 * How far an attack is: a Step of the search, or an iteration of the closed form, whose loss is known where asked.
 * @typedef {{evaluations: number, best: Float64Array, loss?: number, lowest?: number, restart?: number,
 *   layer?: string}} Progress
 */

const TURN = 10; // ms that a job computes before messages and other jobs are heard
const FRAME = 16; // ms between two frames of one job, at least

/** The jobs at work, by id. @type {Map<number, {stopped: boolean}>} */
const jobs = new Map();
/** What builds engines, once "init" has come. @type {Promise<Factory> | null} */
let factory = null;

self.onmessage = ({data}) => void handle(data);

/** @param {any} request a Request, if all is well */
async function handle(request) {
  const id = request?.id ?? 0;
  try {
    if (request?.type === "init") factory = prepare(request.wasm);
    else if (request?.type === "stop") stop(id);
    else if (request?.type === "share" || request?.type === "attack") await work(request);
    else throw new Error(`The worker knows init, share, attack and stop, but not ${request?.type}.`);
  } catch (error) {
    answer({type: "error", id, text: error instanceof Error ? error.message : String(error)});
  }
}

/** @param {number} id of a job, which may be over already */
function stop(id) {
  const job = jobs.get(id);
  if (job) job.stopped = true;
}

/** @param {Share | Attack} request */
async function work(request) {
  if (jobs.has(request.id)) throw new Error(`Job ${request.id} is still at work: stop it, or use another id.`);
  const job = {stopped: false};
  jobs.set(request.id, job);
  try {
    await (request.type === "share" ? share(request) : attack(request, job));
  } finally {
    jobs.delete(request.id);
  }
}

/** @param {Reply} reply @param {Transferable[]} [moved] buffers that are handed over instead of copied */
function answer(reply, moved = []) {
  self.postMessage(reply, {transfer: moved});
}

// A turn ends with a message to oneself and then a timer. Timers set by timers wait for 4 ms, those set by messages do
// not; and a message to oneself alone may overtake for seconds those of others.
const bell = new MessageChannel();
/** @type {(() => void)[]} */
const waiting = [];
bell.port1.onmessage = () => setTimeout(() => waiting.shift()?.(), 0);

/** @returns {Promise<void>} kept when messages were heard and the other jobs have had their turns */
function turn() {
  return new Promise(resolve => {
    waiting.push(resolve);
    bell.port2.postMessage(null);
  });
}

/**
 * WebAssembly where it is there and works, plain JavaScript elsewhere.
 * @param {ArrayBuffer | null} wasm
 * @returns {Promise<Factory>}
 */
async function prepare(wasm) {
  /** @type {Factory} */
  let build = plainEngine;
  try {
    if (wasm) {
      const module = await compileKernel(wasm);
      compiledEngine(module, 8, 1); // some modules compile and cannot be instantiated
      build = (channels, examples) => compiledEngine(module, channels, examples);
    }
  } catch {
    build = plainEngine;
  }
  answer({type: "ready", engine: build === plainEngine ? "js" : "wasm"});
  return build;
}

/**
 * An engine of this job alone. Nothing outlives the job: with the engine goes all that its memory holds.
 * @param {Network} network
 * @param {number} examples
 * @returns {Promise<Engine>}
 */
async function engineFor(network, examples) {
  if (!factory) throw new Error("The worker cannot compute before it has received “init”.");
  expectWhole("The number of channels", network?.channels, 8, 16);
  expectWhole("The number of pictures", examples, 1, 2);
  expectNumbers("The network", network.weights, layout(network.channels).total);
  const engine = (await factory)(network.channels, examples);
  engine.weights.set(network.weights);
  return engine;
}

/** @param {string} what @param {number} value @param {number} low @param {number} high */
function expectWhole(what, value, low, high) {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new Error(`${what} must be ${low} to ${high}, got ${value}.`);
  }
}

/** @param {string} what @param {Float64Array} numbers @param {number} count */
function expectNumbers(what, numbers, count) {
  if (!(numbers instanceof Float64Array) || numbers.length !== count) {
    throw new Error(`${what} must have ${count} numbers, got ${numbers?.length ?? "none"}.`);
  }
  if (!numbers.every(Number.isFinite)) throw new Error(`${what} must have finite numbers only.`);
}

/** @param {Mechanism} mechanism */
function expectMechanism(mechanism) {
  const kind = mechanism?.kind;
  if (kind === "bits") return expectWhole("The number of bits", mechanism.bits, 1, 16);
  const good = kind === "full" || kind === "signs"
    || (kind === "top" && mechanism.fraction > 0 && mechanism.fraction <= 1)
    || (kind === "noise" && mechanism.clip > 0 && mechanism.multiplier >= 0);
  if (!good) throw new Error(`This is no mechanism: ${JSON.stringify(mechanism)}.`);
}

/** @param {Engine} engine @param {number[]} labels */
function setTargets({targets, layout: {classes}}, labels) {
  targets.fill(0);
  labels.forEach((label, example) => (targets[example * classes + label] = 1));
}

/**
 * The client: the gradient of its pictures, and what its mechanism lets out.
 * @param {Share} request
 */
async function share({id, network, pictures, labels, mechanism, seed}) {
  const examples = labels?.length;
  const engine = await engineFor(network, examples);
  expectNumbers("The pictures", pictures, examples * PIXELS);
  labels.forEach(label => expectWhole("A label", label, 0, engine.layout.classes - 1));
  expectMechanism(mechanism);
  engine.pictures.set(pictures);
  setTargets(engine, labels);
  engine.evaluate();
  // Networks are trained in float32: so many digits leave the client.
  const gradient = Float64Array.from(Float32Array.from(engine.gradient));
  const update = send(mechanism, gradient, engine.layout, new Torch(seed), examples);
  answer({type: "update", id, update}, [update.sent.buffer]);
}

/**
 * The server: the pictures behind an update, from nothing but the update and the weights.
 * @param {Attack} request
 * @param {{stopped: boolean}} job
 */
async function attack({id, network, update, method, seed}, job) {
  const engine = await engineFor(network, update?.examples);
  const {layout, pictures} = engine;
  expectNumbers("The update", update.sent, layout.total);
  if (method !== "matching" && method !== "closed") {
    throw new Error(`Attacks are matching and closed, but not ${method}.`);
  }
  expectMechanism(update.mechanism);
  const labels = inferLabels(update, layout);
  answer({type: "labels", id, labels});
  setTargets(engine, labels);

  const distanceOf = distance(update, layout);
  pictures.fill(0.5);
  const gray = misfit(engine, distanceOf);
  if (!Number.isFinite(gray)) throw new Error("The update is zero or too large: no gradient can be compared with it.");
  const enough = fitted(noiseFloor(update, layout), gray, pictures.length, layout.total);
  const torch = new Torch(seed);
  const draw = () => startNear(torch, pictures.length);
  /** @type {Generator<Progress, Reason, void>} */
  const steps = method === "closed" ? undo(engine, update) : search(engine, distanceOf, {draw, gray, enough});

  const began = performance.now();
  /** @param {Progress} progress @returns {Frame} */
  const frame = ({evaluations, best, loss, lowest, restart = 0, layer}) => {
    if (loss === undefined) {
      pictures.set(best);
      lowest = loss = misfit(engine, distanceOf);
    }
    const seconds = (performance.now() - began) / 1000;
    const progress = {evaluations, loss, lowest: lowest ?? loss, gray, enough, restart, seconds};
    return {id, pictures: Float32Array.from(best), ...progress, ...(layer && {layer})};
  };
  const {reason, last} = await takeTurns(steps, job, progress => answer({type: "frame", ...frame(progress)}));
  answer({type: "done", reason, ...frame(last)});
}

/**
 * The closed form as an attack: what is known of the picture while its layers are undone, mid-gray at first.
 * @param {Engine} engine
 * @param {Update} update
 * @returns {Generator<Progress, "solved", void>}
 */
function* undo(engine, update) {
  const gray = new Float64Array(PIXELS).fill(0.5);
  let evaluations = 0;
  for (const {layer, picture} of peel(engine, update)) {
    evaluations++;
    yield {evaluations, best: picture ?? gray, layer};
  }
  return "solved";
}

/**
 * Takes the steps of an attack until it is over or stopped, and shows some.
 * @param {Generator<Progress, Reason, void>} steps at least one
 * @param {{stopped: boolean}} job
 * @param {(progress: Progress) => void} show
 * @returns {Promise<{reason: Reason, last: Progress}>}
 */
async function takeTurns(steps, job, show) {
  let [shown, heard] = [-Infinity, performance.now()];
  /** @type {Progress} */
  let last = {evaluations: 0, best: new Float64Array(0)};
  for (;;) {
    const {done, value} = steps.next();
    if (done) return {reason: value, last};
    last = value;
    if (performance.now() - shown >= FRAME) {
      show(last);
      shown = performance.now();
    }
    if (performance.now() - heard >= TURN) {
      await turn();
      if (job.stopped) return {reason: "stopped", last};
      heard = performance.now();
    }
  }
}
