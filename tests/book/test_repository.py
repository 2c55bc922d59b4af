"""Which repository builds, the addresses that follow from it, and the buttons that lead there."""

import html
import subprocess
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pages
import pytest
from leaky import buttons
from leaky import repository as subject
from leaky.repository import Repository, place, repository

ENVIRONMENT = [
    *("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REF_NAME", "GITHUB_REF_TYPE", "GITHUB_BASE_REF"),
    *("LEAKY_SITE", "LEAKY_BRANCH"),
]
WORKFLOW = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "prof/course"}


@pytest.fixture
def given(monkeypatch, tmp_path):
    """The repository under a remote and an environment, and nothing else of this machine's."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(subject, "ROOT", tmp_path)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)

    def build(remote=None, head=None, **environment):
        if remote is not None:
            subprocess.run([*git, "remote", "add", "origin", remote], check=True)
        if head is not None:
            subprocess.run(
                [*git, "symbolic-ref", "refs/remotes/origin/HEAD", f"refs/remotes/origin/{head}"], check=True
            )
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        repository.cache_clear()
        return repository()

    yield build
    repository.cache_clear()


def test_a_workflow_says_its_repository(given):
    found = given(remote="https://github.com/someone/else.git", **WORKFLOW)
    assert found == Repository("github.com", "prof/course", "main", "https://prof.github.io/course")
    assert found.url == "https://github.com/prof/course"
    assert found.issue == "https://github.com/prof/course/issues/new"
    assert found.edit("chapters/03_dlg.ipynb") == f"{found.url}/edit/main/chapters/03_dlg.ipynb"
    colab = "https://colab.research.google.com/github/prof/course/blob/gh-pages/colab/03_dlg.ipynb"
    assert found.colab("03_dlg") == colab
    assert found.codespace == "https://codespaces.new/prof/course"


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/prof/course",
        "https://github.com/prof/course.git",
        "https://github.com/prof/course/",
        "https://GitHub.com/prof/course.git",
        "https://user:ghp_Secret1@github.com/prof/course.git",
        "https://ghp_Secret1@github.com/prof/course.git",
        "https://x:Secret@1@github.com/prof/course.git",
        "https://github.com/prof/course?token=Secret1",
        "git@github.com:prof/course.git",
        "org-123@github.com:prof/course",
        "github.com:prof/course.git",
        "ssh://git@github.com/prof/course.git",
        "ssh://git@github.com:22/prof/course.git",
        "git://github.com/prof/course.git",
    ],
)
def test_all_ways_to_write_a_remote(remote):
    assert place(remote) == ("github.com", "prof/course")  # and no user or password


def test_git_says_the_repository_without_the_password(given):
    found = given("https://user:ghp_Secret1@github.com/prof/course.git")
    assert found == Repository("github.com", "prof/course", "main", "https://prof.github.io/course")


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "/srv/git/course.git",
        "../course",
        "course.git",
        "file:///srv/git/course.git",
        "file://server.example.org/git/course.git",
        "C:/Users/prof/course",
        r"C:\Users\prof\course",
        "./here.org:prof/course",
        "alias:prof/course.git",
        "https://localhost/prof/course.git",
        "http://127.0.0.1:3000/prof/course.git",
        "git@192.168.0.7:prof/course.git",
        "ssh://git@[::1]/prof/course.git",
        "https://example.org:port/prof/course",
        "https://github.com/",
        "https://github.com/prof",
        "https://github.com/prof/course/tree/main",
        "https://example.org/../../course",
        "https://example.org/prof/a<script>",
        'https://example.org/prof/"onclick=',
    ],
)
def test_no_public_address_no_place(remote):
    assert place(remote) is None


@pytest.mark.parametrize("remote", [None, "/srv/git/course.git", "file:///srv/git/course.git"])
def test_no_public_remote_no_repository(given, remote):
    assert given(remote) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"GITHUB_REPOSITORY": "prof/course"},
        {"GITHUB_SERVER_URL": "https://github.com"},
        {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": ""},
    ],
)
def test_half_an_environment_is_none(given, environment):
    assert given(**environment) is None


def test_a_folder_without_git_has_no_repository(given, monkeypatch, tmp_path):
    monkeypatch.setattr(subject, "ROOT", tmp_path / "unpacked")
    assert given() is None


@pytest.mark.parametrize(
    "remote",
    ["git@gitlab.example.edu:group/below/course.git", "https://gitlab.example.edu/group/below/course"],
)
def test_gitlab_has_its_own_addresses_and_no_colab(given, remote):
    found = given(remote, head="trunk")
    assert found == Repository("gitlab.example.edu", "group/below/course", "trunk", None)
    assert found.colab("03_dlg") is None
    assert found.issue == f"{found.url}/-/issues/new"
    assert found.edit("a.md") == f"{found.url}/-/edit/trunk/a.md"
    assert found.file("a.md") == f"{found.url}/-/blob/trunk/a.md"
    asked = parse_qs(urlsplit(found.report("A & B", "C")).query)
    assert asked == {"issue[title]": ["A & B"], "issue[description]": ["C"]}


def test_of_another_host_only_the_address_is_known(given):
    found = given("https://git.example.org:8443/~prof/course.git")
    assert found.url == "https://git.example.org:8443/~prof/course"
    assert [found.site, found.issue, found.report("A", "B"), found.edit("a.md"), found.colab("a")] == [
        None
    ] * 5


def test_github_of_a_company_has_issues_but_no_colab(given):
    found = given(GITHUB_SERVER_URL="https://github.example.com", GITHUB_REPOSITORY="prof/course")
    assert (found.site, found.colab("a"), found.codespace) == (None, None, None)
    assert found.issue == "https://github.example.com/prof/course/issues/new"


@pytest.mark.parametrize(
    "path, site",
    [
        ("prof/prof.github.io", "https://prof.github.io"),
        ("Prof/Prof.github.io", "https://prof.github.io"),
        ("Prof/Course", "https://prof.github.io/Course"),
        ("other/prof.github.io", "https://other.github.io/prof.github.io"),
    ],
)
def test_where_pages_shows_the_site(given, path, site):
    assert given(f"https://github.com/{path}").site == site


def test_another_address_of_the_site(given):
    assert given(**WORKFLOW, LEAKY_SITE="https://book.example.org/").site == "https://book.example.org"


@pytest.mark.parametrize(
    "site",
    [
        "book.example.org",
        "https://",
        "https://u:Secret1@example.org",
        "javascript:x",
        'https://example.org/"+x+"',
        "https://example.org/<b>",
        r"https://example.org/\1",
        "https://example.org/a&b",
    ],
)
def test_a_wrong_address_of_the_site_is_refused(given, site):
    with pytest.raises(ValueError, match="LEAKY_SITE is the published site's address") as refused:
        given(**WORKFLOW, LEAKY_SITE=site)
    assert "Secret1" not in str(refused.value)


BRANCH = {"GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "work/one"}


@pytest.mark.parametrize(
    "environment, head, branch",
    [
        ({}, None, "main"),
        ({}, "feature/two", "feature/two"),
        (BRANCH, "main", "work/one"),
        ({"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v0.1.0"}, None, "main"),
        ({**BRANCH, "GITHUB_REF_NAME": "7/merge", "GITHUB_BASE_REF": "release/1"}, None, "release/1"),
        ({**BRANCH, "LEAKY_BRANCH": "trunk"}, "main", "trunk"),
    ],
)
def test_the_branch_that_is_edited(given, environment, head, branch):
    assert given("https://github.com/prof/course", head, **environment).branch == branch


def test_what_an_address_cannot_hold_is_quoted():
    found = Repository("github.com", "prof/course", "work/#1 new", None)
    assert found.edit("chapters/a b.ipynb") == f"{found.url}/edit/work/%231%20new/chapters/a%20b.ipynb"


# The buttons of a page.

FRONT = (
    '<h1>Leaky</h1><section id="run-it"><h2>Run it<a href="#run-it">#</a></h2>\n<p>Two commands</p></section>'
)


def page(pagename, file, title="A title", body=FRONT):
    """The theme's header buttons and the body of one page."""
    env = SimpleNamespace(
        doc2path=lambda name: str(buttons.ROOT / file), toc_secnumbers={"chapters/03_dlg": {"": (3,)}}
    )
    builder = SimpleNamespace(get_target_uri=lambda name: f"{name}.html")
    app = SimpleNamespace(config=SimpleNamespace(root_doc="chapters/index"), env=env, builder=builder)
    context = {"header_buttons": ["the theme's"], "title": title, "body": body}
    buttons.add_buttons(app, pagename, "page.html", context, doctree=bool(file))
    *ours, theirs = context["header_buttons"]
    assert theirs == "the theme's"
    return ours, context["body"]


def addresses(group):
    return {button["text"]: html.unescape(button["url"]) for button in group["buttons"]}


def test_a_chapter_opens_in_colab_and_can_be_edited(given):
    found = given(**WORKFLOW)
    (colab, group), body = page(
        "chapters/03_dlg", "chapters/03_dlg.ipynb", title="A <em>title</em> &amp; more"
    )
    assert (colab["url"], body) == (found.colab("03_dlg"), FRONT)
    links = addresses(group)
    assert list(links) == ["Repository", "Open in Codespaces", "Report an issue", "Edit this page"]
    assert links["Edit this page"] == found.edit("chapters/03_dlg.ipynb")
    issue = parse_qs(urlsplit(links["Report an issue"]).query)
    assert issue["title"] == ["On the page: A title & more"]
    assert issue["body"][0].startswith("Page: https://prof.github.io/course/chapters/03_dlg.html\n")


def test_a_page_of_text_has_no_colab_and_the_search_no_source(given):
    given(**WORKFLOW)
    (group,), _ = page("chapters/notation", "chapters/notation.md")
    assert "Edit this page" in addresses(group)
    (group,), _ = page("search", None)
    assert list(addresses(group)) == ["Repository", "Open in Codespaces", "Report an issue"]


def test_the_front_page_opens_the_chapter_of_its_film(given):
    found = given(**WORKFLOW)
    (_,), body = page("chapters/index", "chapters/index.ipynb")
    heading, rest = body.split("</h2>")
    assert heading == FRONT.split("</h2>")[0]
    assert f'href="{found.colab("03_dlg")}">Open chapter 3 in Colab</a>' in rest
    assert (buttons.ROOT / f"{buttons.FILM}.ipynb").exists()
    front = (buttons.ROOT / "chapters/index.ipynb").read_text(encoding="utf8")
    assert "(run-it)=" in front and "(ch-dlg)=" in (buttons.ROOT / f"{buttons.FILM}.ipynb").read_text(
        encoding="utf8"
    )


def test_a_host_without_colab_has_no_colab_button(given):
    given("https://gitlab.com/prof/course")
    (group,), _ = page("chapters/03_dlg", "chapters/03_dlg.ipynb")
    assert addresses(group)["Report an issue"].startswith("https://gitlab.com/prof/course/-/issues/new?issue")
    assert page("chapters/index", "chapters/index.ipynb")[1] == FRONT


def test_without_a_repository_a_page_stays_as_it_is(given):
    given("/srv/git/course.git")
    assert page("chapters/03_dlg", "chapters/03_dlg.ipynb") == ([], FRONT)
    assert page("chapters/index", "chapters/index.ipynb") == ([], FRONT)


HEADER = """<div class="bd-header-article"><div class="article-header-buttons">
  <a class="btn btn-sm btn-colab-button" href="#x"><span class="btn__text-container">{label}</span></a>
  {icons}</div></div><article class="bd-article"><p class="leaky-run">
  <a class="leaky-button" href="#y">Open chapter 3 in Colab</a> <span>The film above.</span></p></article>"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_button_is_read_on_a_narrow_phone(browser, site, theme):
    """Its name stays whole, its label stays visible, and it contrasts by more than 4.5 to 1."""
    shown = pages.opened(browser, (site / "chapters/notation.html").as_uri())
    shown.set_viewport_size({"width": 320, "height": 600})
    icon = '<button class="btn" aria-label="x"><i class="leaky-icon-repository"></i></button>'
    shown.evaluate(
        """([header, theme]) => {
          document.documentElement.dataset.theme = theme;
          document.body.innerHTML = header;
        }""",
        [HEADER.format(label=buttons.OPEN_IN_COLAB, icons=icon * 5), theme],
    )
    button = shown.get_by_role("link", name="Open in Colab", exact=True)
    box = button.bounding_box()
    assert box["width"] > 60 and box["height"] >= 36 and box["x"] + box["width"] <= 320
    assert shown.evaluate("document.documentElement.scrollWidth") <= 320
    assert min(shown.evaluate(CONTRAST)) > 4.5
    shown.context.close()


CONTRAST = """() => [".btn-colab-button", ".leaky-button"].map(name => {
  const style = getComputedStyle(document.querySelector(name));
  const light = color => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [light(style.color), light(style.backgroundColor)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
})"""
