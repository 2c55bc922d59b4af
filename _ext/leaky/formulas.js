// Draws formulas: reads one as JSON a line, {tex, display}, and answers with {html, glyphs} or {error}, a line each.
// MathJax is the one of _vendor, whose folder is the argument; formulas.py starts this with deno.
import {createRequire} from "node:module";
import {createInterface} from "node:readline";

const MathJax = await createRequire(import.meta.url)(`${Deno.args[0]}/node-main.js`).init({
  loader: {load: ["input/tex-full", "output/svg", "a11y/assistive-mml"]},
  // An unknown command or a missing brace is an error here, not a red word on the page.
  tex: {packages: {"[-]": ["noundefined", "noerrors"]}, formatError: (_, error) => { throw error; }},
  svg: {fontCache: "global"},
});
const {adaptor, output} = MathJax.startup;

function draw({tex, display}) {
  output.fontCache.clearCache();
  const drawn = adaptor.outerHTML(MathJax.tex2svg(tex, {display}));
  const [, unknown] = /<text[^>]*>([^<]*)/.exec(drawn) ?? [];
  if (unknown) throw new Error(`MathJax's fonts have no ${unknown}`);
  const glyphs = {};
  for (const path of adaptor.childNodes(output.fontCache.getCache())) {
    if (adaptor.getAttribute(path, "d")) glyphs[adaptor.getAttribute(path, "id")] = adaptor.getAttribute(path, "d");
  }
  const html = drawn
    .replace(/ (data-[\w-]+|role|focusable|xmlns:xlink|jax|unselectable)="[^"]*"/g, "")
    .replace('<mjx-container class="MathJax" style="position: relative;"', "<mjx-container")
    .replace('<mjx-container class="MathJax" display="true" style="position: relative;"', '<mjx-container display="true"')
    .replace(/<use xlink:href="#([^"]*)"/g, '<use href="#$1"')
    .replace(/<use href="#([^"]*)"[^>]*><\/use>/g, (use, id) => id in glyphs ? use : ""); // a space has no shape
  return {html, glyphs};
}

for await (const line of createInterface({input: process.stdin})) {
  let answer;
  try {
    answer = draw(JSON.parse(line));
  } catch (error) {
    answer = {error: error.message};
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
