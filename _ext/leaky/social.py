"""The pictures that previews of links show: the card of a chapter, with its number and title.

They are drawn where the site has an address, since previews take no other.
"""

from functools import cache
from pathlib import Path

from leaky.cite import book, number_and_title
from leaky.palette import PALETTE
from leaky.repository import ROOT, repository

CARDS = ROOT / "chapters" / "_static" / "cards"
FOLDER = "social"
SIZE = (1200, 630)
FRONT = "03"  # the card that stands for the whole book: from noise to a cat


def setup(app):
    app.connect("build-finished", draw_pictures)


def picture_of(app, pagename: str) -> tuple[str, str]:
    """The address of a page's picture from the root of the site, and what it shows."""
    number, title = number_and_title(app.env, pagename, "")
    name = f"{int(number):02}" if number else "book"
    return (
        f"{FOLDER}/{name}.png",
        f"{app.config.html_title}, chapter {number}: {title}" if number else book()["title"],
    )


def draw_pictures(app, exception):
    here = repository()
    if exception is not None or app.builder.name != "html" or not (here and here.site):
        return
    folder = Path(app.outdir, FOLDER)
    folder.mkdir(exist_ok=True)
    name, _, rest = book()["title"].partition(": ")
    draw(FRONT, "", name, rest).save(folder / "book.png", optimize=True)
    for page in app.env.toctree_includes[app.config.root_doc]:
        number, title = number_and_title(app.env, page, "")
        if number:
            draw(f"{int(number):02}", number, title, name).save(
                folder / f"{int(number):02}.png", optimize=True
            )


def draw(card: str, number: str, title: str, below: str):
    """The card in its own pixels, beside it the number or the book's sign, below it two lines."""
    from PIL import Image, ImageDraw

    ink = PALETTE["ink"]
    picture = Image.new("RGB", SIZE, ink["page"]["light"])
    with Image.open(CARDS / f"{card}.png") as stored:
        art = stored.convert("RGBA")
    squares = art.width < 400  # photographs keep their pixels, drawings are smooth
    art = art.resize((920, 460), Image.Resampling.NEAREST if squares else Image.Resampling.LANCZOS)
    strip = SIZE[0] - art.width
    picture.paste(art, (strip, 0), art)
    pen = ImageDraw.Draw(picture)
    pen.rectangle([0, 0, strip - 1, art.height - 1], fill=ink["page"]["dark"])
    if number:
        pen.text((strip / 2, 275), number, font=font("-Bold", 120), fill=ink["text"]["dark"], anchor="ms")
    else:
        sign(pen, strip / 2, art.height / 2, ink)
    size = 46
    while font("-Bold", size).getlength(title) > SIZE[0] - 100:
        size -= 1
    pen.text((50, 535), title, font=font("-Bold", size), fill=ink["text"]["light"], anchor="ls")
    pen.text((50, 593), below, font=font("", 30), fill=ink["muted"]["light"], anchor="ls")
    return picture


def sign(pen, x, y, ink):
    """A gradient that leaks a drop, as in favicon.svg."""
    corners = [(x - 72, y - 72), (x + 72, y - 72), (x, y + 36)]
    pen.line([*corners, *corners[:2]], fill=ink["accent"]["dark"], width=24, joint="curve")
    pen.polygon([(x, y + 36), (x - 17, y + 66), (x + 17, y + 66)], fill=ink["threat"]["dark"])
    pen.ellipse([x - 18, y + 54, x + 18, y + 90], fill=ink["threat"]["dark"])


@cache
def font(style: str, size: int):
    """matplotlib brings this one along, so it is the same on every machine."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", f"DejaVuSans{style}.ttf"), size)
