# make run    installs into .venv and shows the demo
# make test   runs the whole suite
# make check  ruff, mypy, clang-format and the plugin manifest
# make clean  removes what these made

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Without a screen, windows open on a virtual one where that is installed.
ON_SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,$(shell command -v xvfb-run >/dev/null && echo xvfb-run -a))

.PHONY: run test check clean

run: $(INSTALLED)
	$(BIN)/porescope demo

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(ON_SCREEN) $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror cuda/*.[ch]pp cuda/*.cu tests/*.[ch]pp
	QT_QPA_PLATFORM=offscreen $(BIN)/npe2 validate --imports napari-porescope

$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt napari.yaml $(wildcard cuda/*) $(wildcard sample_data/* sample_data/npg_multivoltage/*)
	tools/debian_packages.sh
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[viewer,test]'
	touch $@

clean:
	rm -rf .venv build out
