"""The button that downloads a page also gives the whole book, which scripts/book_files.py makes.

Only a site whose published address is known links to these files, since publishing makes them first. A local
build links to none. The PDF with solutions is made of the instructor's edition, and published nowhere.
"""

from leaky.repository import repository

FILES = {
    "leaky-gradients.pdf": "Whole book (PDF)",
    "leaky-gradients.epub": "Whole book (ePub)",
}


def setup(app):
    app.connect("html-page-context", offer, priority=512)  # after the buttons of theme and copies


def offer(app, pagename, templatename, context, doctree):
    here = repository()
    for group in context.get("header_buttons", []):
        if group.get("label") != "download-buttons":
            continue
        for button in group["buttons"]:
            if button.get("javascript") == "window.print()":
                button |= {"text": "Print this page", "tooltip": "Print this page, or save it as PDF"}
        if here and here.site:
            group["buttons"] += [
                {"type": "link", "url": f"{here.site}/{file}", "text": text, "icon": "fas fa-file-pdf"}
                for file, text in FILES.items()
            ]
