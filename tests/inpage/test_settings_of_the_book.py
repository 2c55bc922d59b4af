"""The settings that the book's pages give the attack are settings that it knows."""

import re

import pytest
import strips

LINK = re.compile(r"\{live\}`[^`<]*<([^>]+)>`")
ASKED = {
    figure.name: "&".join(map("=".join, figure.settings.items()))
    for _, text in strips.pages()
    for figure in strips.figures(text)
}
ASKED |= {link: link for _, text in strips.pages() for link in LINK.findall(text)}


@pytest.mark.parametrize("name", ASKED)
def test_the_attack_knows_its_settings(deno, name):
    read = deno(
        "const {ignored, ...settings} = address.readSettings(fragment);"
        "return {ignored, again: address.readSettings(address.writeSettings(settings))}",
        fragment=ASKED[name],
    )
    assert read["ignored"] == read["again"]["ignored"] == []
    settings = deno("return address.readSettings(fragment)", fragment=ASKED[name])
    assert settings == read["again"]
