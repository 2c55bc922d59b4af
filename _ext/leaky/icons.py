"""The icons that are shown, as masks in one small sheet.

The theme brings all of Font Awesome: a script of 1.5 MB before anything is painted, and three fonts that
browsers refuse in a book opened from a file. Its markup stays (`<i class="fa-solid fa-sun">`), also in what
scripts write; what `icons/NAME.svg` shows is the icon `fa-NAME`. To add one, put its file there, from the npm
package `@fortawesome/fontawesome-free`; each says its licence, CC BY 4.0.
"""

import re
import shutil
from pathlib import Path
from urllib.parse import quote

ICONS = Path(__file__).parent / "icons"
BASE = """:is(.fa-solid, .fa-brands, .fas, .fab) {
  background: currentColor;
  display: inline-block;
  height: 1em;
  mask: var(--icon) center / contain no-repeat;
  vertical-align: -0.125em;
  width: 1em;
}
/* A browser that puts the reader's own colours in place of backgrounds keeps this one. */
@media (forced-colors: active) { :is(.fa-solid, .fa-brands, .fas, .fab) { background: ButtonText; } }
"""


def setup(app):
    app.connect("config-inited", write_sheet)
    app.connect("build-finished", remove_font_awesome)
    app.add_css_file("icons.css", priority=805)


def sheet(folder=ICONS):
    rules = []
    for path in sorted(folder.glob("*.svg")):
        svg = re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf8"), flags=re.DOTALL).strip()
        url = quote(svg, safe=" /:=<>'\"").replace('"', "'").replace("<", "%3C").replace(">", "%3E")
        rules.append(f'.fa-{path.stem} {{ --icon: url("data:image/svg+xml,{url}"); }}')
    credit = "/* The shapes: Font Awesome Free 6.5.2, fontawesome.com, CC BY 4.0 */\n"
    return credit + BASE + "\n".join(rules) + "\n"


def write_sheet(app, config):
    folder = Path(app.doctreedir) / "leaky"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "icons.css").write_text(sheet(), encoding="utf8")


def remove_font_awesome(app, exception):
    if exception is None and app.builder.format == "html":
        shutil.rmtree(Path(app.outdir) / "_static" / "vendor", ignore_errors=True)
