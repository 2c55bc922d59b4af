# make book    the website                  make lint   style of the code
# make files   PDF and ePub                 make types  types of leaklib
# make test    tests and notebooks          make colab  the copies in Colab's versions
# make book-instructor, make files-instructor    the same with solutions, guide and slides: not for students
# make coursework   the assignments, as students and instructors get them
# Of tests with very many cases, `make test` draws a few, others each day; SAMPLE=all runs all, SAMPLE=7 draws anew.
# Needs Python 3.11, 3.12 or 3.13 and make. Writes only inside this folder (pip also keeps its usual download cache).
PYTHON ?= python3
CACHE = $(CURDIR)/.cache

# What tools would write into the home directory goes to .cache. One thread each: two workers run beside each other,
# and sums come out the same on every machine.
RUN = env PYTHONNOUSERSITE=1 XDG_CACHE_HOME="$(CACHE)" XDG_CONFIG_HOME="$(CACHE)/config" XDG_DATA_HOME="$(CACHE)/data" \
	IPYTHONDIR="$(CACHE)/ipython" MPLCONFIGDIR="$(CACHE)/matplotlib" MPLBACKEND= \
	JUPYTER_CONFIG_DIR="$(CACHE)/jupyter" JUPYTER_DATA_DIR="$(CACHE)/jupyter" JUPYTER_RUNTIME_DIR="$(CACHE)/jupyter/runtime" \
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python
BUILD = $(RUN) -c "from jupyter_book.cli.main import main; main()" build . -W -n --keep-going && test -f _build/html/index.html
files = $(shell find $(1) -type f ! -name "*.pyc")

SITE = _build/complete

.PHONY: book book-instructor files files-instructor coursework test lint types size witnesses notebooks kernel lock colab clean environment FORCE

book: $(SITE)
	@echo "Open this file in a browser: $(CURDIR)/_build/html/index.html"

# The pages say which repository they come from: for another one all are written anew.
_build/repository: FORCE | environment
	@mkdir -p _build
	@$(RUN) _ext/leaky/repository.py >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

PAGES = _build/repository requirements.lock $(call files,_config.yml _toc.yml CITATION.cff _ext _vendor chapters \
	leaklib/palette.json leaklib/report.py leaklib/widgets/inpage.py leaklib/widgets/live)
_build/pages: $(PAGES) | environment
	@echo "Building the website from an empty _build; a warning is an error."
	@find _build -mindepth 1 -maxdepth 1 ! -name repository ! -name instructor ! -name coursework -exec rm -rf {} +
	@$(BUILD) && touch $@

# Another package is another wheel, which the copies of the chapters install; the pages stay.
$(SITE): _build/pages pyproject.toml README.md LICENSE scripts/wheel.py $(call files,leaklib)
	@if [ -e $@ ]; then echo "Building the wheel and the copies."; $(BUILD); fi
	@touch $@

# The book as PDF and as ePub: beside the front page of the website.
files: _build/files/complete
_build/files/complete: $(SITE) scripts/book_files.py $(wildcard scripts/book_files.*)
	@echo "Printing the book, which takes a minute or two."
	@$(RUN) scripts/book_files.py
	@mkdir -p _build/files && touch $@

# The instructor's edition, with the solutions: pages, guide and slides. Nothing publishes it.
INSTRUCTOR = _build/instructor/complete
book-instructor: $(INSTRUCTOR)
	@echo "Open this file in a browser: $(CURDIR)/_build/instructor/html/index.html"

$(INSTRUCTOR): $(PAGES) pyproject.toml README.md LICENSE scripts/wheel.py scripts/instructor.py scripts/slides.py \
		$(call files,leaklib instructor) | environment
	@echo "Building the instructor's edition; a warning is an error."
	@$(RUN) scripts/instructor.py
	@touch $@

# Its book as PDF, beside its front page.
files-instructor: $(INSTRUCTOR)
	@echo "Printing the book with its solutions, which takes a minute or two."
	@$(RUN) scripts/book_files.py --instructor

# Runs the copies in the versions that Colab has: make colab COPIES="03_dlg 08_batch_size"; or in the newest of
# everything: make colab VERSIONS=newest. Needs Python 3.13 and, the first time, 6 GB more.
VERSIONS ?= colab
colab: $(SITE)
	@$(RUN) scripts/colab.py --versions $(VERSIONS) $(COPIES)

# The assignments without solutions, and what the grader needs: _build/coursework. In Colab's versions, with the
# solutions put back: make coursework, then make colab COPIES=1_first_inversion.
coursework: environment
	@$(RUN) scripts/coursework.py

SAMPLE ?= $(shell date +%Y%m%d)
test: $(SITE)
	@echo "Running the tests and every notebook, whose outputs are compared with what is stored."
	@$(RUN) -m pytest tests chapters -n 2 --no-loadscope-reorder -rs --durations 40 --sample $(SAMPLE) \
		--nbval-lax --nbval-current-env --nbval-cell-timeout=300

lint: environment
	@echo "Checking the style."
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@.venv/bin/zizmor --offline --quiet .github

types: environment
	@echo "Checking the types of leaklib and of its JavaScript."
	@$(RUN) -m pyright
	@$(RUN) -m deno check --quiet leaklib/widgets/*.js leaklib/widgets/live/*.js
	@$(RUN) -m deno check --quiet tests/inpage/*.js # apart: these run in deno, whose timers are of another type

size: environment
	@$(RUN) scripts/size.py

# Computes the witness of every stored row again: about 20 minutes.
witnesses: environment
	@$(RUN) benchmarks/witness.py

# Runs every chapter and stores what it shows; only one: make notebooks CHAPTERS=chapters/03_dlg.ipynb
CHAPTERS = $(wildcard chapters/*.ipynb)
notebooks: environment
	@$(RUN) scripts/run_notebooks.py $(CHAPTERS)

# Takes the newest versions that requirements.txt allows, for every Python from 3.11.0 and every platform, and writes
# them down with their hashes. make lock UPGRADE= keeps those that are there and only adds what is missing.
UPGRADE = --upgrade
lock: environment
	@.venv/bin/python -m uv pip compile requirements.txt $(UPGRADE) --quiet --universal --python-version 3.11.0 \
		--generate-hashes --no-emit-package leaklib --no-strip-extras --no-annotate \
		--custom-compile-command "make lock" --output-file requirements.lock

# Compiles the kernel of the attack in the page; a test compares its bytes.
kernel: environment
	@$(RUN) scripts/kernel.py

clean:
	rm -rf _build .cache .venv .pytest_cache .ruff_cache mutants

environment:
	@PYTHON="$(PYTHON)" sh scripts/environment.sh

# Changes what privacy hangs on in one place at a time, and lists what no test notices: an hour or two, so not part of
# `make test`.
.PHONY: mutants
mutants: environment
	@$(RUN) scripts/mutants.py
