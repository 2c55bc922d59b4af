"""The attack in the page: one document at the root of the site, figures that frame it, links that set it.

    :::{live} fig-dlg-live
    :sample: cat
    :weights: uniform
    :show: weights
    :alt: What the film strip shows, for who cannot see it.
    The caption.
    :::

is a numbered figure. Its picture is the film strip ``chapters/_static/live/fig-dlg-live.png``, which
``scripts/strips.py`` draws at the same settings: it is what stands on paper and where no script runs. On a
screen leaky.js puts the document in its place. The role ``{live}`` links to the page of the reader's own
picture, at settings: ``{live}`eight channels <channels=8>```.
"""

import re
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import ReferenceRole, SphinxDirective
from sphinx.util.osutil import relative_uri

from leaklib.widgets.inpage import document

DOCUMENT, OWN = "live.html", "chapters/try_it"
STRIPS = "chapters/_static/live"
SETTINGS = ("sample", "weights", "channels", "batch", "sent", "method", "seed", "show", "start")
ONE = rf"(?:{'|'.join(SETTINGS)})=[\w.,]+"


def setup(app):
    app.connect("build-finished", write_document)
    app.add_directive("live", Live)
    app.add_role("live", Setting())


def write_document(app, exception):
    if exception is None and app.builder.format == "html":
        # The content policy holds a hash of these bytes.
        (Path(app.outdir) / DOCUMENT).write_text(document(), encoding="utf8", newline="\n")


class Live(SphinxDirective):
    """The options are the settings, with the names and values that the document's address has."""

    required_arguments = 1
    has_content = True
    option_spec = dict.fromkeys(("alt", *SETTINGS), directives.unchanged_required) | {
        "class": directives.class_option,
        "address": directives.flag,  # this figure's settings stand in the page's own address
    }

    def run(self):
        name = self.arguments[0]
        settings = "&".join(f"{key}={self.options[key]}" for key in SETTINGS if key in self.options)
        if settings and not re.fullmatch(rf"{ONE}(&{ONE})*", settings):
            raise self.error(f"no settings of {DOCUMENT}: {settings}")
        if not self.content or "alt" not in self.options:
            raise self.error(f"{name} needs a caption and the option alt")
        source = relative_uri(self.env.app.builder.get_target_uri(self.env.docname), DOCUMENT)
        data = f'data-src="{source}" data-settings="{escape(settings)}"'
        # So many groups of controls are open from the start, and one slider more: room is kept for them.
        groups = len(self.options.get("show", "").split(",")) * ("show" in self.options)
        groups += bool(re.search(r"\d", self.options.get("sent", "")))
        # On a phone the result of a race, or of two pictures, is twice as high.
        second = self.options.get("method") == "race" or self.options.get("batch") == "2"
        data += f' style="--groups: {groups}; --second: {int(second)}"'
        data += " data-mirrored" * ("address" in self.options)
        frame = f'<div class="leaky-live" {data}></div>'
        figure = nodes.figure("", classes=["live", *self.options.get("class", [])])
        figure += nodes.raw("", frame, format="html")
        figure += nodes.image(uri=f"/{STRIPS}/{name}.png", alt=self.options["alt"])
        text = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, text)
        figure += nodes.caption("", "", *text[0].children)
        self.options["name"] = name
        self.add_name(figure)
        self.set_source_info(figure)
        return [figure]


class Setting(ReferenceRole):
    def run(self):
        if not re.fullmatch(rf"{ONE}(&{ONE})*", self.target):
            message = self.inliner.reporter.error(f"no settings of {DOCUMENT}: {self.target}")
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        builder = self.env.app.builder
        page = builder.get_relative_uri(self.env.docname, OWN)
        return [nodes.reference("", self.title, internal=True, refuri=f"{page}#live:{self.target}")], []
