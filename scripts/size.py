"""Counts leaklib's lines of code, without docstrings, comments and blank lines, and names what is long."""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
SKIP = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
LONG_FILE, LONG_FUNCTION = 150, 40


def docstring_lines(tree):
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS) and ast.get_docstring(node) is not None:
            yield from range(node.body[0].lineno, node.body[0].end_lineno + 1)


def code_lines(text, tree):
    """Numbers of the lines that hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SKIP:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - set(docstring_lines(tree))


total = 0
for path in sorted(ROOT.glob("leaklib/**/*.py")):
    text = path.read_text(encoding="utf8")
    tree = ast.parse(text)
    lines = code_lines(text, tree)
    total += len(lines)
    note = "   long" if len(lines) > LONG_FILE else ""
    print(f"{len(lines):5}  {path.relative_to(ROOT)}{note}")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            inside = sum(node.lineno <= number <= node.end_lineno for number in lines)
            if inside > LONG_FUNCTION:
                print(f"{inside:7}  {node.name}   long")
print(f"{total:5}  lines of code in leaklib (5,800 is the question to ask)")
