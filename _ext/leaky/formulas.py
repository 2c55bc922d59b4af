"""Formulas, drawn while the site is built: a page shows them at once, without a script and without a font.

MathJax (`_vendor/mathjax`) runs in deno, one process for all pages, and gives SVG for the eye and MathML for
a screen reader. What a letter looks like is stored once a page; formulas refer to it. This takes 13 to 25 kB
of a chapter, compressed. MathJax's CSS output and KaTeX need 60 to 100 kB of fonts; while these load, lines
move; MathML alone is the lightest, and a phone without a mathematical font shows it badly.

What was drawn is kept between builds. A formula that MathJax does not understand fails the build.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

HERE = Path(__file__).parent
MATHJAX = HERE.parents[1] / "_vendor" / "mathjax"
SCRIPT = HERE / "formulas.js"
USED = re.compile(r'<use href="#([^"]+)"')


def setup(app):
    app.add_html_math_renderer("leaky", (visit_inline, None), (visit_block, None))
    app.connect("builder-inited", start)
    app.connect("html-page-context", add_glyphs, priority=900)  # what finishes a page has less to read before
    app.connect("build-finished", stop)
    app.add_css_file("formulas.css", priority=805)


class Painter:
    """``painter(tex, display)`` is a formula's HTML; ``glyphs`` are the letters drawn so far, by their id."""

    def __init__(self, store: Path) -> None:
        self.store, self.process = store, None
        # Another MathJax, or another way to ask it, draws everything anew.
        parts = [SCRIPT, *sorted(path for path in MATHJAX.rglob("*.js"))]
        self.version = hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
        kept = json.loads(store.read_text(encoding="utf8")) if store.exists() else {}
        same = kept.get("version") == self.version
        self.drawn, self.glyphs = (kept["drawn"], kept["glyphs"]) if same else ({}, {})

    def __call__(self, tex: str, display: bool) -> str:
        key = f"{'display' if display else 'inline'} {tex}"
        if key not in self.drawn:
            answer = self._ask(tex, display)
            if "error" in answer:
                raise ValueError(answer["error"])
            self.drawn[key] = answer["html"]
            self.glyphs.update(answer["glyphs"])
        return self.drawn[key]

    def _ask(self, tex: str, display: bool) -> dict:
        if self.process is None:
            program = Path(sys.executable).with_name("deno")
            command = [str(program) if program.exists() else shutil.which("deno") or "deno", "run", "--quiet"]
            command += ["--no-config", "--no-remote", "--allow-env", f"--allow-read={MATHJAX}", str(SCRIPT)]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            plain = {**os.environ, "NO_COLOR": "1"}
            self.process = subprocess.Popen([*command, str(MATHJAX)], **pipes, encoding="utf8", env=plain)
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(json.dumps({"tex": tex, "display": display}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            _, why = self.process.communicate()
            self.process = None
            raise ExtensionError(f"{SCRIPT.name} ended: {why}")
        return json.loads(line)

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate()
            self.store.parent.mkdir(parents=True, exist_ok=True)
            kept = {"version": self.version, "drawn": self.drawn, "glyphs": self.glyphs}
            self.store.write_text(json.dumps(kept), encoding="utf8")
            self.process = None


def start(app):
    app.formulas = Painter(Path(app.doctreedir) / "leaky" / "formulas.json")


def stop(app, exception):
    app.formulas.close()


def draw(translator, node, tex, display):
    app = translator.builder.app
    try:
        return app.formulas(tex, display)
    except ValueError as error:
        page = translator.builder.current_docname
        raise ExtensionError(f"{page}: the formula {tex!r} cannot be drawn: {error}") from error


def visit_inline(self, node):
    html = draw(self, node, node.astext(), display=False)
    self.body.append(f"{self.starttag(node, 'span', '', CLASS='math notranslate nohighlight')}{html}</span>")
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    tex = node.astext() if node["nowrap"] else in_lines(node.astext())
    self.body.append(draw(self, node, tex, display=True) + "</div>\n")
    raise nodes.SkipNode


def in_lines(tex):
    """As Sphinx understands it: an empty line or a double backslash begins a new line of the formula."""
    parts = [part for part in tex.split("\n\n") if part.strip()]
    parts = [rf"\begin{{split}}{part}\end{{split}}" if r"\\" in part else part for part in parts]
    return parts[0] if len(parts) == 1 else r"\begin{aligned}" + r"\\".join(parts) + r"\end{aligned}"


def add_glyphs(app, pagename, templatename, context, doctree):
    used = sorted(set(USED.findall(context.get("body", ""))))
    if used:
        paths = "".join(f'<path id="{name}" d="{app.formulas.glyphs[name]}"></path>' for name in used)
        glyphs = f'<svg class="glyphs" aria-hidden="true" width="0" height="0"><defs>{paths}</defs></svg>'
        context["body"] = glyphs + context["body"]
