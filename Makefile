# make demo   trains a spiking network on an embedded data set
# make test   runs the whole test suite under the three backends
#
# Both create their environment first. Every version is pinned in
# constraints.txt.

PYTHON ?= python3
BACKEND ?= jax
BACKENDS ?= tensorflow jax torch
PYTEST_ARGS ?= -n auto --maxprocesses 4
CORE := tests/test_package.py tests/kernels tests/layers tests/losses \
	tests/models/test_tcl_model.py tests/data/test_pipeline.py

DEMO := .venv-demo-$(BACKEND)
TEST := .venv
NO_TENSORFLOW := .venv-no-tensorflow
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt

# torch is installed before what depends on it, so that the pinned build is
# the one that stays (CONTRIBUTING.md: the CPU build on Linux).
define create_environment
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/$(PIP_INSTALL) setuptools \
		$(if $(findstring torch,$(EXTRAS)),torch)
	$(@D)/bin/$(PIP_INSTALL) --no-build-isolation -e ".[$(EXTRAS)]"
	touch $@
endef

.PHONY: demo test lint clean $(addprefix test-,$(BACKENDS)) \
	test-without-tensorflow

demo: $(DEMO)/installed
	KERAS_BACKEND=$(BACKEND) $(DEMO)/bin/python examples/demo.py

test: $(addprefix test-,$(BACKENDS)) test-without-tensorflow

$(addprefix test-,$(BACKENDS)): test-%: $(TEST)/installed
	KERAS_BACKEND=$* $(TEST)/bin/python -m pytest $(PYTEST_ARGS)

# The core must not need TensorFlow, neither on JAX nor on PyTorch.
test-without-tensorflow: $(NO_TENSORFLOW)/installed
	! $(NO_TENSORFLOW)/bin/python -c "import tensorflow" 2> /dev/null
	KERAS_BACKEND=jax $(NO_TENSORFLOW)/bin/python -m pytest $(CORE) $(PYTEST_ARGS)
	KERAS_BACKEND=torch $(NO_TENSORFLOW)/bin/python -m pytest \
		tests/models/test_tcl_model.py $(PYTEST_ARGS)

lint: $(TEST)/installed
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy

$(DEMO)/installed: EXTRAS := $(BACKEND),demo
$(DEMO)/installed: pyproject.toml constraints.txt
	$(create_environment)

$(TEST)/installed: EXTRAS := torch,tensorflow,jax,data,dvs,plot,keras-cv,triton,test,dev
$(TEST)/installed: pyproject.toml constraints.txt
	$(create_environment)

$(NO_TENSORFLOW)/installed: EXTRAS := torch,jax,demo,test
$(NO_TENSORFLOW)/installed: pyproject.toml constraints.txt
	$(create_environment)

clean:
	rm -rf .venv .venv-* build *.egg-info demo_output
