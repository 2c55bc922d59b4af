// Reads one request a line, runs its code with the page's modules in scope, and writes one answer a line.
// What the build hands to the page stands in CONSTANTS there; tests pass what they need instead.

import {Buffer} from "node:buffer";
import process from "node:process";
import {createInterface} from "node:readline";

/** @type {any} */ (globalThis).CONSTANTS = {};
const folder = new URL("../../leaklib/widgets/live/", import.meta.url);
/** @type {Record<string, any>} */
const modules = {wasm: Deno.readFileSync(new URL("kernel.wasm", folder))};
for await (const {name} of Deno.readDir(folder)) {
  const module = name.match(/^(\w+)\.js$/)?.[1];
  // These two begin to work when they are loaded, in a worker and in a document.
  if (module && !["types", "worker", "page"].includes(module)) modules[module] = await import(new URL(name, folder).href);
}

/** @param {any} value @returns {any} */
function pack(value) {
  if (ArrayBuffer.isView(value)) {
    return {float64: Buffer.from(Float64Array.from(/** @type {any} */ (value)).buffer).toString("base64")};
  }
  if (Array.isArray(value)) return value.map(pack);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, pack(v)]));
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value ?? null;
}

/** @param {any} value @returns {any} */
function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (!value || typeof value !== "object") return value;
  if (typeof value.float64 === "string") return new Float64Array(Uint8Array.from(Buffer.from(value.float64, "base64")).buffer);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
}

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
for await (const line of createInterface({input: process.stdin})) {
  const {code, arguments: given} = JSON.parse(line);
  let answer;
  try {
    const scope = {...modules, ...unpack(given)};
    answer = {value: pack(await new AsyncFunction(...Object.keys(scope), code)(...Object.values(scope)))};
  } catch (error) {
    answer = {error: error instanceof Error ? error.stack : String(error)};
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
