"""The first cell of every copy of a chapter: installs the very leaklib that the book was built with.

It adds packages and changes none: the wheel without its dependencies, then what it needs and is missing, each
without its own, until nothing is missing. So Colab's torch, numpy and attrs stay, whoever asks for others.
"""

CELL = '''\
# @title Setup: run me first { display-mode: "form" }
# Installs leaklib, the package of this book, and what it needs and is missing here.
# Packages that are here stay as they are: nothing is upgraded, nothing downgraded.
WHEEL = "@wheel@"
VERSION = "@version@"
SHA256 = "@sha256@"
SITE = "@site@"  # where the wheel is published, if it is
LEFT_OUT = {"jedi"}  # IPython asks for it, and Colab goes without on purpose
CHECKED = {"attrs": ", and this book's numbers are the same with it (checked with attrs 26.1)"}


def set_up_leaklib():
    import importlib
    import json
    import subprocess
    import sys
    from importlib.metadata import PackageNotFoundError, distribution, distributions
    from pathlib import Path
    from urllib.parse import quote

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    class Stop(Exception):
        def _render_traceback_(self):  # the sentence alone, without the code above it
            return [f"Setup stopped. {self}"]

    def find(name):
        try:
            return distribution(name)
        except PackageNotFoundError:
            return None

    def versions():
        found = [(item.metadata["Name"], item.version) for item in distributions()]
        return {canonicalize_name(name): version for name, version in reversed(found) if name}

    def needs():
        """What is missing, by name; and who asks for another version than the one that is here."""
        missing, outside, seen = {}, {}, set()
        queue = [("this book", Requirement("leaklib[accounting]"))]
        for who, want in queue:
            name, asked, package = canonicalize_name(want.name), want.specifier, find(want.name)
            if package is None and name not in LEFT_OUT:
                missing[name] = missing.get(name, SpecifierSet()) & asked
            if package is None:
                continue
            if not asked.contains(package.version, prereleases=True):
                outside[who, name] = f"{who} asks for {name}{asked}; {package.version} is here and stays"
            if (name, *sorted(want.extras)) not in seen:
                seen.add((name, *sorted(want.extras)))
                for need in map(Requirement, package.requires or []):
                    extras = ["", *want.extras]
                    if not need.marker or any(need.marker.evaluate({"extra": e}) for e in extras):
                        queue.append((name, need))
        return missing, outside

    def pip(*what, trouble):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--retries", "1"]
        done = subprocess.run([*command, *what], capture_output=True, text=True)
        importlib.invalidate_caches()
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.lower().startswith("error")]
            raise Stop(f"{trouble} pip says: {(errors or [done.stderr.strip()])[-1]}")

    def install():
        if before.get("leaklib") != VERSION:
            beside = [path for path in (Path(WHEEL), Path("..", WHEEL)) if path.is_file()]
            if not beside and not SITE:
                raise Stop(f"Put the file {WHEEL}, which was built with this notebook, beside it.")
            address = beside[0].resolve().as_uri() if beside else f"{SITE}/{quote(WHEEL)}"
            trouble = f"Could not install {address}. Without a network, put that file beside this notebook."
            pip(f"{address}#sha256={SHA256}", trouble=trouble)
        tried = set()
        while missing := needs()[0]:
            names = ", ".join(missing)
            if tried & missing.keys():
                raise Stop(f"{names}: installed, but not found. Restart the kernel and run this again.")
            tried |= missing.keys()
            trouble = f"Could not install {names}. This needs a network once: run this cell again with one."
            pip(*(f"{name}{asked}" for name, asked in missing.items()), trouble=trouble)

    def tell():
        after = versions()
        if after == before:
            print(f"leaklib {VERSION} is installed, with all that it needs.")
            return
        names = ["leaklib", *sorted(after.keys() - {"leaklib"})]
        added = [f"{name} {after[name]}" for name in names if name not in before]
        now = [(name, old, after.get(name, "nothing")) for name, old in before.items()]
        changed = [f"{name} {old} to {new}" for name, old, new in now if new != old]
        print("added:", ", ".join(added) or "nothing", end="; ")
        print("changed:", ", ".join(changed) or "nothing")
        for (who, name), sentence in needs()[1].items():
            if who not in before:
                print(f"{sentence}{CHECKED.get(name, '')}.")

    package, loaded = find("leaklib"), sys.modules.get("leaklib")
    origin = json.loads((package and package.read_text("direct_url.json")) or "{}")
    if origin.get("dir_info", {}).get("editable"):
        print(f"leaklib {package.version} is used as it stands in {origin['url']}.")
        return
    before = versions()
    install()
    tell()
    if loaded and getattr(loaded, "__version__", None) != VERSION:
        raise Stop("Another build of leaklib is loaded: restart the runtime, then run all cells again.")


set_up_leaklib()
'''


def setup_cell(wheel_name: str, version: str, sha256: str, site: str | None) -> str:
    """The code of the cell. ``site`` is the address where the wheel is published, None where it is not."""
    code = CELL.replace("@wheel@", wheel_name).replace("@version@", version)
    return code.replace("@sha256@", sha256).replace("@site@", site or "")
