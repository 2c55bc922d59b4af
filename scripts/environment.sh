#!/bin/sh
# Makes .venv, the book's own environment, or brings it up to date. Run by make; can be interrupted and repeated.
set -eu
cd "$(dirname "$0")/.."
inputs="requirements.lock pyproject.toml"
stamp=.venv/.complete # holds the folder it was made in; written last, so a half-made .venv has none

usable() { [ "$(cat $stamp 2>/dev/null)" = "$PWD" ] && .venv/bin/python -c "" 2>/dev/null; }
in_range() { "$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" 2>/dev/null; }

if usable && [ -z "$(find $inputs -newer $stamp)" ]; then
    exit 0
elif usable; then
    echo "The requirements have changed: bringing .venv up to date."
    rm $stamp
else
    for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11 none; do
        if in_range "$python"; then break; fi
    done
    if [ "$python" = none ]; then
        echo "This book needs Python 3.11, 3.12 or 3.13 and found none; if there is one, name it: make PYTHON=/path/to/python3.12" >&2
        exit 1
    fi
    echo "Making .venv with $("$python" --version). The first time takes 5 to 10 minutes and, on Linux, 6 GB, most of it PyTorch."
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        echo "Python could not make .venv; on Debian and Ubuntu it needs one more package: apt install python3-venv" >&2
        exit 1
    fi
fi

# Only files whose hashes are written down, and none that runs code of its own when it is installed. With setuptools
# among them, leaklib itself needs nothing else.
# uv, which downloads and unpacks side by side, is installed first, from the same list. It does not read pip's settings:
# where only these know the way to a package index, pip does the work.
mkdir -p .venv/first
sed -n '/^uv==/,/[^\\]$/p' requirements.lock >.venv/first/uv.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
    -r .venv/first/uv.txt
.venv/bin/python -m uv pip install --python .venv/bin/python --only-binary :all: --require-hashes \
    -r requirements.lock ||
    .venv/bin/python -m pip install --disable-pip-version-check --only-binary :all: --require-hashes \
        -r requirements.lock
.venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
echo "$PWD" >$stamp
echo "The environment is complete."
