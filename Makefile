# `make report` and `make test` are all a newcomer needs. Each makes the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: env report example test gpu lint links docs dist clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@# torch first and alone, pinned, so that nothing that depends on it picks a build of its own.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

report: env
	$(BIN)/archrank run --suite default --store results/store
	$(BIN)/archrank report --store results/store --output results

# docs/example and the picture in README from what `make report` stored; trains nothing. The picture needs Chromium.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

example: env
	rm -rf docs/example/figures
	$(BIN)/archrank report --store results/store --output docs/example --format html,md
	@if test -n "$(CHROMIUM)"; then \
	  $(CHROMIUM) --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,860 \
	    --screenshot=docs/figures/report.png "file://$(CURDIR)/docs/example/report.html" 2>/dev/null && echo docs/figures/report.png; \
	else echo "no Chromium: docs/figures/report.png is left as it is"; fi
	@rm -f docs/example/report.html

test: env
	$(BIN)/python -m pytest -n 2

# What one GPU says, in under eight minutes; see the script.
gpu: env
	tools/gpu_check.sh $(BIN)/python results/gpu

lint: env links
	$(BIN)/ruff check archrank datasets encoders eval reports tests tools
	$(BIN)/ruff format --check --quiet archrank datasets encoders eval reports tests tools
	$(BIN)/mypy .links/archrank tools tests

# mypy and editors follow real folders only: a git-ignored tree of links shows them the package as it installs.
links:
	@mkdir -p .links/archrank
	@for name in datasets encoders eval reports; do ln -sfn ../../$$name .links/archrank/$$name; done
	@for path in archrank/*; do ln -sfn ../../$$path .links/archrank/$$(basename $$path); done

# The site, in build/site; works from file://. A broken link or reference fails.
docs: env links
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo build/site/index.html

# The wheel, tried outside the repository with every Python from 3.11 to 3.14 on this machine.
dist: env
	$(BIN)/python tools/check_wheel.py

clean:
	rm -rf $(VENV) .links build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
