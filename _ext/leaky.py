"""The book's own part of the site: its stylesheet and script, and the palette that page and figures share."""

import json
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parents[1]
PALETTE = ROOT / "leaklib" / "palette.json"
REPEATED = {"proof", "proof-content", "exercise-content", "solution-content"}
OUTSIDE = (nodes.section, nodes.document)


def palette_css(palette):
    """One CSS custom property per colour, such as `--leaky-attacks-dlg`, in light and in dark."""

    def block(selector, theme):
        lines = (
            f"  --leaky-{group}-{name.lower()}: {colour[theme]};"
            for group, colours in palette.items()
            for name, colour in colours.items()
        )
        return f"{selector} {{\n  color-scheme: {theme};\n" + "\n".join(lines) + "\n}\n"

    # Paper is light, whatever the screen was.
    return block("html", "light") + "@media screen {\n" + block('html[data-theme="dark"]', "dark") + "}\n"


def write_palette(app, config):
    folder = Path(app.doctreedir) / "leaky"
    folder.mkdir(parents=True, exist_ok=True)
    css = palette_css(json.loads(PALETTE.read_text(encoding="utf8")))
    (folder / "palette.css").write_text(css, encoding="utf8")
    config.html_static_path.append(str(folder))


def tidy_boxes(app, doctree, docname):
    """Mend two habits of sphinx-proof and sphinx-exercise, after all cross-references are resolved."""
    for node in doctree.findall(nodes.Element):
        # The inside of every box gets the same id, which nothing links to and HTML forbids.
        in_box = isinstance(node, nodes.section) and not isinstance(node.parent, OUTSIDE)
        if in_box or "proof" in node["classes"]:
            node["ids"] = [name for name in node["ids"] if name not in REPEATED]
        # "Proof." is glued to the first sentence.
        if node.tagname == "proof_node" and node.astext().startswith("Proof. "):
            text = next(node.findall(nodes.Text))
            at = text.parent.index(text)
            text.parent[at : at + 1] = [
                nodes.emphasis(text="Proof."),
                nodes.Text(text.removeprefix("Proof.")),
            ]


def mend_bibliography(app, pagename, templatename, context, doctree):
    """Sphinx puts entries of a deprecated role into a list; a list holds list items."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app):
    app.connect("config-inited", write_palette)
    app.connect("doctree-resolved", tidy_boxes)
    app.connect("html-page-context", mend_bibliography)
    # After the theme's own sheets (500), so that ours has the last word.
    app.add_css_file("palette.css", priority=800)
    app.add_css_file("leaky.css", priority=810)
    app.add_js_file("leaky.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
