// Reads one request a line, runs its code with the page's modules in scope, and writes one answer a line.
// What the build hands to the page stands in CONSTANTS there; tests pass what they need instead.

/** @type {any} */ (globalThis).CONSTANTS = {};
const folder = new URL("../../leaklib/widgets/live/", import.meta.url);
/** @type {Record<string, any>} */
const modules = {};
for await (const {name} of Deno.readDir(folder)) {
  const module = name.match(/^(\w+)\.js$/)?.[1];
  // These two begin to work when they are loaded, in a worker and in a document.
  if (module && !["types", "worker", "page"].includes(module)) modules[module] = await import(new URL(name, folder).href);
}

/** @param {any} value @returns {any} */
function pack(value) {
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(Float64Array.from(/** @type {any} */ (value)).buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return {float64: btoa(text)};
  }
  if (Array.isArray(value)) return value.map(pack);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, pack(v)]));
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value ?? null;
}

/** @param {any} value @returns {any} */
function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (!value || typeof value !== "object") return value;
  if (typeof value.float64 === "string") return new Float64Array(Uint8Array.from(atob(value.float64), c => c.charCodeAt(0)).buffer);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
}

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
let text = "";
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  text += chunk;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
    const {code, arguments: given} = JSON.parse(text.slice(0, end));
    text = text.slice(end + 1);
    let answer;
    try {
      const scope = {...modules, ...unpack(given)};
      answer = {value: pack(await new AsyncFunction(...Object.keys(scope), code)(...Object.values(scope)))};
    } catch (error) {
      answer = {error: error instanceof Error ? error.stack : String(error)};
    }
    await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(answer) + "\n"));
  }
}
