// The settings of the page, as they stand behind the # of its address.

/** @import {Initialisation, Mechanism} from "./types.js" */

/**
 * @typedef {object} Settings
 * @property {string} sample which picture of the book
 * @property {Initialisation} weights
 * @property {number} channels of every convolution
 * @property {1 | 2} batch pictures that the gradient is the mean of
 * @property {Mechanism} sent what the phone does to its gradient
 * @property {"matching" | "closed" | "race"} method
 * @property {number} seed of the weights, of the attack's start and of the noise
 * @property {string[]} show controls that are open from the start
 * @property {"auto" | "click"} start at once when it is seen, or only when it is asked to
 * @property {"light" | "dark" | ""} theme "" for that of the system
 */

export const SAMPLE_NAMES = ["cat", "astronaut", "coffee", "rocket", "galaxies"];
export const CLIP = 1; // L2 norm before noise, as in the book's chapter on differential privacy
const GROUPS = ["weights", "channels", "batch", "sent", "race"];

/** @returns {Settings} */
function standardSettings() {
  return {sample: "cat", weights: "default", channels: 12, batch: 1, sent: {kind: "full"}, method: "matching", seed: 0,
    show: [], start: "auto", theme: ""};
}

/**
 * One reader for each name: the value, or undefined where the text is none.
 * @type {Record<string, (text: string) => any>}
 */
const READERS = {
  sample: text => oneOf(text, SAMPLE_NAMES),
  weights: text => oneOf(text, ["default", "uniform"]),
  channels: text => wholeNumber(text, 8, 16),
  batch: text => wholeNumber(text, 1, 2),
  sent: readMechanism,
  method: text => oneOf(text, ["matching", "closed", "race"]),
  seed: text => wholeNumber(text, 0, 9),
  show: text => text.split(",").every(name => GROUPS.includes(name)) ? [...new Set(text.split(","))] : undefined,
  start: text => oneOf(text, ["auto", "click"]),
  theme: text => oneOf(text, ["light", "dark"]),
};

/**
 * The settings in `fragment`, with or without its #. What it does not say, or says wrongly, is as standard;
 * `ignored` holds the parts that are wrong.
 * @param {string} fragment
 * @returns {Settings & {ignored: string[]}}
 */
export function readSettings(fragment) {
  /** @type {Record<string, any>} */
  const settings = standardSettings();
  const ignored = [];
  for (const part of fragment.replace(/^#/, "").split("&").filter(Boolean)) {
    const [, name, text] = part.match(/^([^=]*)=?(.*)$/s) ?? ["", part, ""];
    const value = Object.hasOwn(READERS, name) ? READERS[name](plainText(text)) : undefined;
    if (value === undefined) ignored.push(plainText(part));
    else settings[name] = value;
  }
  return /** @type {Settings & {ignored: string[]}} */ ({...settings, ignored});
}

/**
 * The fragment that `readSettings` reads back, without a #. The experiment stands there in full, so that an
 * address keeps its meaning; of the rest only what is not standard.
 * @param {Settings} settings
 * @returns {string}
 */
export function writeSettings(settings) {
  const {sample, weights, channels, batch} = settings;
  const parts = [`sample=${sample}`, `weights=${weights}`, `channels=${channels}`, `batch=${batch}`];
  parts.push(`sent=${writeMechanism(settings.sent)}`, `method=${settings.method}`, `seed=${settings.seed}`);
  if (settings.show.length) parts.push(`show=${settings.show.join(",")}`);
  if (settings.start !== "auto") parts.push(`start=${settings.start}`);
  if (settings.theme) parts.push(`theme=${settings.theme}`);
  return parts.join("&");
}

/** @param {string} text @returns {Mechanism | undefined} */
function readMechanism(text) {
  if (text === "full" || text === "signs") return {kind: text};
  const bits = wholeNumber(text.match(/^(.*)bits?$/)?.[1] ?? "", 1, 16);
  if (bits) return {kind: "bits", bits};
  const [, kind, number] = text.match(/^(top|noise)(\d+(?:\.\d+)?(?:e-\d+)?)$/) ?? [];
  const value = Number(number);
  if (kind === "top" && value > 0 && value <= 100) return {kind, fraction: Number((value / 100).toPrecision(12))};
  if (kind === "noise" && value > 0 && value <= 100) return {kind, clip: CLIP, multiplier: value};
  return undefined;
}

/** @param {Mechanism} sent @returns {string} */
function writeMechanism(sent) {
  if (sent.kind === "bits") return `${sent.bits}bits`;
  if (sent.kind === "top") return `top${Number((100 * sent.fraction).toPrecision(12))}`;
  return sent.kind === "noise" ? `noise${sent.multiplier}` : sent.kind;
}

/** @param {string} text @param {string[]} allowed */
function oneOf(text, allowed) {
  return allowed.includes(text) ? text : undefined;
}

/** @param {string} text @param {number} low @param {number} high */
function wholeNumber(text, low, high) {
  return /^\d+$/.test(text) && Number(text) >= low && Number(text) <= high ? Number(text) : undefined;
}

/** @param {string} text */
function plainText(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone %
  }
}
