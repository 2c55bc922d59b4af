"""A front page at the root of the site, a sitemap, and a page for addresses that lead nowhere."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.util.docutils import ReferenceRole

from leaky.cite import address, number_and_title
from leaky.repository import repository
from leaky.solutions import for_instructor

# An address in an attribute that is relative to the page.
RELATIVE = re.compile(
    r'(?<=\s)(href|src|action|poster|data-src|data-content_root)="(?!#|/|[\w+.-]+:)(?:\./)*([^"]*)"'
)
FRONT, LOST = "index.html", "404.html"


class Book(StandaloneHTMLBuilder):
    """Writes the front page to the root of the site, whatever its source is called."""

    search = False  # search.py makes what the search needs

    def get_target_uri(self, docname, typ=None):
        return FRONT if docname == self.config.root_doc else super().get_target_uri(docname, typ)

    def get_outfilename(self, pagename):
        return (
            str(Path(self.outdir, FRONT))
            if pagename == self.config.root_doc
            else super().get_outfilename(pagename)
        )


def setup(app):
    app.add_builder(Book, override=True)
    app.add_role("published", Published())
    app.connect("doctree-resolved", leave_out_what_is_not_published)
    app.connect("html-collect-pages", lost_page)
    app.connect("build-finished", write_files)


class Published(ReferenceRole):
    """A link to a file that only the published site has: {published}`words <leaky-gradients.pdf>`."""

    def run(self):
        site = getattr(repository(), "site", None)
        return [
            nodes.reference("", self.title, refuri=f"{site}/{self.target}")
            if site
            else nodes.Text(self.title)
        ], []


def leave_out_what_is_not_published(app, doctree, docname):
    """What stands in ``:::{div} published`` speaks of the published site, such as of files made for it."""
    here = repository()
    if not here or not here.site:
        for box in list(doctree.findall(nodes.container)):
            if "published" in box["classes"]:
                box.parent.remove(box)


def moved(html: str, prefix: str) -> str:
    """A page of the root as it must be elsewhere: each relative address begins with the prefix."""
    return RELATIVE.sub(rf'\1="{prefix}\2"', html)


def listed(app) -> list[str]:
    """All pages of the book in their order."""
    return [app.config.root_doc, *app.env.toctree_includes[app.config.root_doc]]


def lost_page(app):
    titles = ((name, *number_and_title(app.env, name, name)) for name in listed(app))
    chapters = [
        (app.builder.get_target_uri(name), f"{number} · {title}" if number else title)
        for name, number, title in titles
    ]
    yield "404", {"title": "No such page", "chapters": chapters}, LOST


def write_files(app, exception):
    if exception is not None or app.builder.name != "html":
        return
    here, out = repository(), Path(app.outdir)
    site = here.site if here and not for_instructor(app.config) else None
    # The front page has a second name, since the sources and older links say it.
    front = out / f"{app.config.root_doc}.html"
    front.parent.mkdir(parents=True, exist_ok=True)
    front.write_text(moved((out / FRONT).read_text(encoding="utf8"), "../"), encoding="utf8")
    # Servers answer with this page at every depth, so it says where the site begins.
    if site:
        lost = (out / LOST).read_text(encoding="utf8")
        (out / LOST).write_text(moved(lost, f"{urlsplit(site).path}/"), encoding="utf8")
    robots = ["User-agent: *", "Disallow: /" if for_instructor(app.config) else "Disallow:"]
    sitemap = out / "sitemap.xml"
    sitemap.unlink(missing_ok=True)
    if site:
        places = "".join(f"  <url><loc>{address(app.builder, name)}</loc></url>\n" for name in listed(app))
        namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
        sitemap.write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{namespace}">\n{places}</urlset>\n',
            encoding="utf8",
        )
        robots += ["", f"Sitemap: {site}/sitemap.xml"]
    (out / "robots.txt").write_text("\n".join([*robots, ""]), encoding="utf8")
