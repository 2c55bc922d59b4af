"""The book as ePub: what `book_files.py` assembles for students, a file for each page, formulas as MathML.

Chromium reads the document and writes it as XHTML, which Python's parser of HTML does not. Figures are SVG as
on the website; photographs and frames of explorers are files of their own, each stored once.
"""

import base64
import re
import uuid
import zipfile
from hashlib import sha256
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from playwright.sync_api import Page

STYLE = Path(__file__).with_suffix(".css")
TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp", ".jpg": "image/jpeg"}
ENDINGS = {kind: ending for ending, kind in TYPES.items()}
# Each page as XHTML. What an ePub may not hold, or a reader's device does not open, becomes plain.
PAGES = r"""() => {
  const all = selector => [...document.querySelectorAll(selector)];
  const contents = all(".contents li").map(row => ({
    part: row.matches(".part"), id: row.querySelector("a")?.hash.slice(1),
    title: (row.querySelector("span") ?? row).textContent,
  }));
  const left = "svg.glyphs, style, .title-page figcaption, [hidden]:not(.lx-more)";
  all(left).forEach(element => element.remove());
  all("mjx-container").forEach(formula => {
    const math = formula.querySelector("math");
    if (formula.getAttribute("display") === "true") math.setAttribute("display", "block");
    formula.replaceWith(math);
  });
  for (const box of all("details")) {
    const plain = document.createElement("div"), title = document.createElement("p");
    plain.className = box.className, title.className = "summary";
    if (box.id) plain.id = box.id;
    if (box.matches(".quiz")) {
      const before = box.previousElementSibling;
      box.dataset.place = plain.dataset.place = before?.matches("div.quiz") ? +before.dataset.place + 1 : 0;
      title.append(`${"ABCDEFGH"[plain.dataset.place]}  `);
    }
    title.append(...box.querySelector(":scope > summary").childNodes);
    plain.append(title, ...[...box.childNodes].filter(node => node.nodeName !== "SUMMARY"));
    box.replaceWith(plain);
  }
  // Attributes of the website's scripts and tables.
  for (const element of all("body *")) {
    for (const {name} of [...element.attributes]) {
      if (/^(data-|on|tabindex|hidden|align|valign|border)/.test(name)) element.removeAttribute(name);
    }
    if (element.style.page) element.removeAttribute("style");
  }
  const pages = all("section.title-page, section.imprint, article").map(page => ({
    id: page.id || page.classList[0], math: !!page.querySelector("math"), svg: !!page.querySelector("svg"),
    title: page.querySelector("h1, h2")?.textContent ?? document.title,
    xhtml: new XMLSerializer().serializeToString(page),
  }));
  return {contents, pages};
}"""


def write_epub(tab: Page, path: Path, about: dict[str, str], colors: str) -> None:
    """``tab`` shows the document, ``about`` is what the file says of itself, ``colors`` what figures use."""
    found = tab.evaluate(PAGES)
    pages = found["pages"]
    homes = {id_: page["id"] for page in pages for id_ in re.findall(r'\sid="([^"]+)"', page["xhtml"])}
    images: dict[str, bytes] = {}
    files = {}
    for page in pages:
        text = re.sub(
            r'(?<=\s)(src|href)="((?:data|file):[^"]+)"',
            lambda found: f'{found[1]}="{picture(unescape(found[2]), images)}"',
            page["xhtml"],
        )
        text = re.sub(r'(?<=\shref=")#([^"]+)', lambda found: there(found[1], homes), text)
        files[page["id"]] = f"""<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>{escape(page["title"].strip())}</title><link rel="stylesheet" href="style.css"/></head>
<body>{text}</body></html>"""
    package = opf(pages, images, about)
    stamp = (*map(int, about["date"].split("-")), 0, 0, 0)

    def add(name: str, contents: str | bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
        book.writestr(zipfile.ZipInfo(name, stamp), contents, how)

    with zipfile.ZipFile(path, "w") as book:
        add("mimetype", "application/epub+zip", zipfile.ZIP_STORED)  # first and bare: so readers tell an ePub
        add("META-INF/container.xml", CONTAINER)
        add("book/book.opf", package)
        add("book/nav.xhtml", nav(found["contents"]))
        add("book/style.css", colors + STYLE.read_text(encoding="utf8"))
        for name, text in files.items():
            add(f"book/{name}.xhtml", text)
        for name, contents in images.items():
            add(f"book/{name}", contents, zipfile.ZIP_STORED)


def picture(source: str, images: dict[str, bytes]) -> str:
    """The name under which a picture lies in the book."""
    if source.startswith("data:"):
        head, _, data = source.removeprefix("data:").partition(",")
        contents = base64.b64decode(data) if head.endswith(";base64") else unquote_to_bytes(data)
        ending = ENDINGS[head.partition(";")[0]]
    else:
        file = Path(unquote(urlsplit(source).path))
        contents, ending = file.read_bytes(), file.suffix
    name = f"images/{sha256(contents).hexdigest()[:16]}{ending}"
    images[name] = contents
    return name


def there(id_: str, homes: dict[str, str]) -> str:
    home = homes[id_]
    return f"{home}.xhtml" if home == id_ else f"{home}.xhtml#{id_}"


CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""


def nav(contents: list[dict]) -> str:
    rows, inside = "", False
    for row in contents:
        if row["part"]:
            rows += "</ol></li>" * inside + f"<li><span>{escape(row['title'])}</span><ol>"
            inside = True
        else:
            rows += f'<li><a href="{row["id"]}.xhtml">{escape(row["title"])}</a></li>'
    rows += "</ol></li>" * inside
    return f"""<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>Contents</title><link rel="stylesheet" href="style.css"/></head>
<body><nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{rows}</ol></nav></body></html>"""


def opf(pages: list[dict], images: dict[str, bytes], about: dict[str, str]) -> str:
    items = [
        '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>',
        '<item id="style" href="style.css" media-type="text/css"/>',
    ]
    for page in pages:
        kinds = " ".join(kind for kind, used in (("mathml", page["math"]), ("svg", page["svg"])) if used)
        id_, held = page["id"], f' properties="{kinds}"' if kinds else ""
        items.append(f'<item id="page-{id_}" href="{id_}.xhtml" media-type="application/xhtml+xml"{held}/>')
    for number, name in enumerate(images):
        cover = ' properties="cover-image"' if number == 0 else ""  # the film of the title page
        items.append(
            f'<item id="image-{number}" href="{name}" media-type="{TYPES[Path(name).suffix]}"{cover}/>'
        )
    spine = [f'<itemref idref="page-{page["id"]}"/>' for page in pages]
    spine.insert(2, '<itemref idref="nav"/>')
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{about['title']} {about['version']}")
    return f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{name}</dc:identifier>
<dc:title>{escape(about["title"])}</dc:title>
<dc:creator>{escape(about["authors"])}</dc:creator>
<dc:language>en</dc:language>
<dc:rights>{escape(about["rights"])}</dc:rights>
<dc:date>{about["date"]}</dc:date>
<meta property="dcterms:modified">{about["date"]}T00:00:00Z</meta>
<meta property="schema:accessMode">textual</meta>
<meta property="schema:accessMode">visual</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">tableOfContents</meta>
<meta property="schema:accessibilityHazard">none</meta>
<meta property="schema:accessibilitySummary">Every figure has a text that says what it shows.</meta>
</metadata>
<manifest>{"".join(items)}</manifest>
<spine>{"".join(spine)}</spine>
</package>"""
