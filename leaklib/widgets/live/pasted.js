// An update that came from elsewhere, as leaklib's `export_update` writes it: text in JSON, numbers as base64. It may
// have been written by anyone, so nothing in it is believed before it is checked, and only numbers leave this file.
// What does not fit is an Error whose message is one sentence for the reader.

import {layout} from "./network.js";

/** @import {Mechanism, Network, Update} from "./types.js" */
/** @typedef {{network: Network, update: Update, labels?: number[]}} Pasted `labels` where the client revealed them */

const UPDATE_FORMAT = "leaklib update";
const UPDATE_VERSION = 1;
const LONGEST_UPDATE = 1_000_000; // characters: 16 channels in float64 have 519,000
const LARGEST_NUMBER = 2 ** 128 - 2 ** 104; // of float32: sums of squares stay within float64
const UPDATE_KEYS = ["format", "version", "channels", "num_examples", "mechanism", "bits", "type", "weights", "update"];
const BYTES = new Map([["float32", 4], ["float64", 8]]);

/**
 * What each kind of mechanism has besides its name: what a value must be, in words, and whether one is.
 * @type {Map<unknown, [string, string, (value: unknown) => boolean][]>}
 */
const MECHANISM_KEYS = new Map([
  ["full", []],
  ["bits", [["bits", "a whole number from 1 to 16", value => isWhole(value, 1, 16)]]],
  ["signs", []],
  ["top", [["fraction", "above 0 and at most 1", value => isPositive(value, 1)]]],
  ["noise", [
    ["clip", "above 0 and finite", value => isPositive(value, LARGEST_NUMBER)],
    ["multiplier", "above 0 and finite", value => isPositive(value, LARGEST_NUMBER)],
  ]],
]);

/** @param {unknown} value @param {number} low @param {number} high @returns {value is number} */
function isWhole(value, low, high) {
  return typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;
}

/** @param {unknown} value @param {number} high @returns {value is number} */
function isPositive(value, high) {
  return typeof value === "number" && value > 0 && value <= high;
}

/**
 * A value for a sentence, never long.
 * @param {unknown} value from JSON, or missing
 */
function inWords(value) {
  if (value === undefined) return "nothing";
  if (value !== null && typeof value === "object") return Array.isArray(value) ? "a list" : "an object";
  const text = typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
  return typeof value === "string" && value.length > 40 ? `${text}…` : text;
}

/** @param {string} what @param {string} wanted @param {unknown} value @returns {never} */
function refuse(what, wanted, value) {
  throw new Error(`${what} must be ${wanted}, got ${inWords(value)}.`);
}

/**
 * An object of JSON with exactly these keys.
 * @param {string} what
 * @param {unknown} value
 * @param {string[]} keys
 * @param {string[]} [optional]
 * @returns {Record<string, unknown>}
 */
function checkKeys(what, value, keys, optional = []) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) refuse(what, "an object", value);
  const missing = keys.find(key => !Object.hasOwn(value, key));
  if (missing) throw new Error(`${what} has no ${missing}.`);
  const unknown = Object.keys(value).find(key => !keys.includes(key) && !optional.includes(key));
  if (unknown !== undefined) throw new Error(`${what} has ${inWords(unknown)}, which is not part of it.`);
  return /** @type {Record<string, unknown>} */ (value);
}

/** @param {unknown} value @returns {Mechanism} */
function checkMechanism(value) {
  const kind = value !== null && typeof value === "object" && Object.hasOwn(value, "kind")
    ? /** @type {{kind: unknown}} */ (value).kind : undefined;
  const keys = MECHANISM_KEYS.get(kind);
  if (!keys) return refuse("The kind of the mechanism", [...MECHANISM_KEYS.keys()].join(", "), kind);
  const found = checkKeys("The mechanism", value, ["kind", ...keys.map(([name]) => name)]);
  for (const [name, wanted, holds] of keys) {
    if (!holds(found[name])) refuse(`The mechanism's ${name}`, wanted, found[name]);
  }
  return /** @type {Mechanism} */ (/** @type {unknown} */ ({...found}));
}

/**
 * @param {string} what
 * @param {unknown} value base64 of little-endian floats
 * @param {number} count of numbers
 * @param {number} width of one, in bytes
 * @returns {Float64Array}
 */
function readNumbers(what, value, count, width) {
  const letters = 4 * Math.ceil(count * width / 3);
  if (typeof value !== "string") refuse(what, "base64", value);
  if (value.length !== letters) {
    throw new Error(`The ${what} must have ${count} numbers in ${letters} letters, got ${value.length} letters.`);
  }
  const padding = (3 - count * width % 3) % 3;
  if (!/^[A-Za-z0-9+/]*$/.test(value.slice(0, letters - padding)) || !value.endsWith("=".repeat(padding))) {
    throw new Error(`The ${what} has letters that are not base64: part of it was lost or changed.`);
  }
  const bytes = new DataView(Uint8Array.from(atob(value), letter => letter.charCodeAt(0)).buffer);
  const numbers = Float64Array.from({length: count}, (_, i) =>
    width === 4 ? bytes.getFloat32(4 * i, true) : bytes.getFloat64(8 * i, true));
  if (!numbers.every(number => Math.abs(number) <= LARGEST_NUMBER)) { // false for NaN, too
    throw new Error(`The ${what} must hold finite numbers within the range of float32.`);
  }
  return numbers;
}

/**
 * @param {unknown} value
 * @param {number} examples
 * @returns {number[]}
 */
function readLabels(value, examples) {
  if (!Array.isArray(value) || value.length !== examples || !value.every(label => isWhole(label, 0, 9))) {
    throw new Error(`The labels must be ${examples === 1 ? "one class" : "two classes"} from 0 to 9.`);
  }
  return [...value];
}

/**
 * An exported update, checked.
 * @param {string} text what leaklib's `export_update` gave
 * @returns {Pasted}
 */
export function readUpdate(text) {
  const advice = "paste all that print(export_update(model, update)) shows";
  if (!text.trim()) throw new Error(`There is no text to read: ${advice}.`);
  if (text.length > LONGEST_UPDATE) throw new Error(`An update has at most 1 MB, this text has more: ${advice}.`);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`This is not an exported update, or not all of one: ${advice}.`);
  }
  const isUpdate = value !== null && typeof value === "object" && Object.hasOwn(value, "format");
  if (!isUpdate || value.format !== UPDATE_FORMAT) throw new Error(`This is not an exported update: ${advice}.`);
  if (value.version !== UPDATE_VERSION) {
    throw new Error(`This page reads version ${UPDATE_VERSION} of exported updates, got ${inWords(value.version)}: `
      + "export it with the leaklib of this book.");
  }
  const found = checkKeys("The update", value, UPDATE_KEYS, ["labels"]);
  const {channels, num_examples: examples, bits} = found, width = BYTES.get(String(found.type));
  if (!isWhole(channels, 8, 16)) return refuse("The number of channels", "a whole number from 8 to 16", channels);
  if (!isWhole(examples, 1, 2)) return refuse("The number of examples", "1 or 2", examples);
  if (typeof found.type !== "string" || !width) return refuse("The type", "float32 or float64", found.type);
  const mechanism = checkMechanism(found.mechanism), {total} = layout(channels);
  if (!isWhole(bits, 1, 128 * total)) return refuse("The number of bits", `from 1 to ${128 * total}`, bits);
  const weights = readNumbers("weights", found.weights, total, width);
  const sent = readNumbers("update", found.update, total, width);
  if (sent.every(number => number === 0)) throw new Error("The update is 0 everywhere: there is nothing to attack.");
  if (mechanism.kind === "signs" && !sent.every(number => Math.abs(number) === 1)) {
    throw new Error("An update of signs must hold nothing but 1 and −1.");
  }
  const pasted = {network: {channels, weights}, update: {sent, mechanism, examples, bits}};
  return "labels" in found ? {...pasted, labels: readLabels(found.labels, examples)} : pasted;
}

/**
 * What is written in a file that may be an exported update. One that is too long is not read.
 * @param {Blob} file
 * @returns {Promise<string>} for `readUpdate`
 */
export async function updateText(file) {
  if (file.size > LONGEST_UPDATE) throw new Error("An exported update has at most 1 MB: this file has more.");
  try {
    return await file.text();
  } catch {
    throw new Error("The file cannot be opened: is it a folder, or was it moved or changed?");
  }
}
