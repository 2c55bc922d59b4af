"""The book's own part of the site, one part a file."""

from pathlib import Path

from leaky import (
    buttons,
    cells,
    cite,
    copies,
    formulas,
    found,
    guide,
    handouts,
    head,
    icons,
    live,
    pages,
    palette,
    search,
    social,
    solutions,
    weight,
)

PARTS = (
    solutions,
    palette,
    cells,
    pages,
    live,
    cite,
    head,
    social,
    found,
    search,
    buttons,
    handouts,
    copies,
    formulas,
    icons,
    weight,
    guide,
)
HERE = Path(__file__).parent


def setup(app):
    app.connect("config-inited", add_folders)
    for part in PARTS:
        part.setup(app)
    app.add_css_file("leaky.css", priority=810)
    app.add_css_file("print.css", priority=820, media="print")
    app.add_js_file("leaky.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_folders(app, config):
    """Templates, and static files: those that lie here, and those that parts write for this build."""
    config.templates_path.append(str(HERE / "templates"))
    config.html_static_path += [str(Path(app.doctreedir) / "leaky"), str(HERE / "static")]
