# make demo       trains a spiking network on an embedded data set
# make check      lint, types and the quick tests under one backend, in a minute
# make test       runs the whole test suite under the three backends
# make gpu        installs a CUDA build, and runs what only a GPU can show; the
#                 arguments of GPU_ARGS are those of benchmarks/gpu
# make snapshot   writes the list of public names that the tests compare
#
# Each creates its environment first, with the backends for a CPU (PyTorch on
# Linux: see CONTRIBUTING.md) and every version pinned in constraints.txt.
# BACKEND=... chooses the backend of the first two.

PYTHON ?= python3
# Where the shell forbids bytecode, each of the tests' processes would compile
# Keras and its backend anew, for 20 s.
export PYTHONDONTWRITEBYTECODE :=
# The first runs the tests that need none, too. PyTorch compiles nothing, so
# it has a test suite's first answer soonest.
BACKENDS ?= torch jax tensorflow
PYTEST_ARGS ?= -n auto --maxprocesses 4 --dist worksteal

DEMO_BACKEND := $(or $(BACKEND),jax)
CHECK_BACKEND := $(or $(BACKEND),torch)
GPU_BACKEND := $(or $(BACKEND),torch)
DEMO := .venv-demo-$(DEMO_BACKEND)
TEST := .venv
GPU := .venv-gpu-$(GPU_BACKEND)
PEERS := .venv-peers
NO_TENSORFLOW := .venv-no-tensorflow
CORE := tests/test_package.py tests/test_readme.py tests/test_docstrings.py \
	tests/data/test_batches_in_fit.py tests/saved
LINT = $(TEST)/bin/ruff check . && $(TEST)/bin/ruff format --check . && \
	$(TEST)/bin/mypy
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check \
	--no-compile --constraint constraints.txt

# torch is installed before what depends on it, so that the pinned build is
# the one that stays (CONTRIBUTING.md: the CPU build on Linux). Python compiles
# what is imported; pip would compile all of it, in four times the time.
, := ,
define create_environment
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/$(PIP_INSTALL) setuptools \
		$(if $(findstring torch,$(EXTRAS)),torch)
	$(@D)/bin/$(PIP_INSTALL) --no-build-isolation -e ".[$(EXTRAS)]"
	touch $@
endef

.PHONY: demo check test lint gpu gpu-driver snapshot clean $(addprefix test-,$(BACKENDS)) \
	test-without-tensorflow

demo: $(DEMO)/installed
	KERAS_BACKEND=$(DEMO_BACKEND) $(DEMO)/bin/python examples/demo.py

check: $(TEST)/installed
	@start=$$(date +%s); $(LINT) && \
	KERAS_BACKEND=$(CHECK_BACKEND) $(TEST)/bin/python -m pytest \
		-m "not slow" $(PYTEST_ARGS); \
	status=$$?; echo "make check: $$(($$(date +%s) - start)) s"; exit $$status

test: $(addprefix test-,$(BACKENDS)) test-without-tensorflow

$(addprefix test-,$(BACKENDS)): test-%: $(TEST)/installed
	KERAS_BACKEND=$* $(TEST)/bin/python -m pytest $(PYTEST_ARGS) \
		$(if $(filter-out $(firstword $(BACKENDS)),$*),-m "not once")

# The package must not need TensorFlow, neither on JAX nor on PyTorch: what
# imports it, trains by the README, and reads data is enough to see that.
test-without-tensorflow: $(NO_TENSORFLOW)/installed
	! $(NO_TENSORFLOW)/bin/python -c "import tensorflow" 2> /dev/null
	for backend in jax torch; do \
		KERAS_BACKEND=$$backend $(NO_TENSORFLOW)/bin/python -m pytest \
			$(CORE) $(PYTEST_ARGS) -m "not once" || exit 1; \
	done

# It looks for the driver before it downloads gigabytes.
gpu: gpu-driver $(GPU)/installed $(PEERS)/installed
	KERAS_BACKEND=$(GPU_BACKEND) $(GPU)/bin/python -m benchmarks.gpu \
		--peers $(PEERS)/bin/python $(GPU_ARGS)

gpu-driver:
	@nvidia-smi -L || { echo "make gpu needs an NVIDIA GPU and its driver:" \
		"nvidia-smi did not list one."; exit 1; }

snapshot: $(TEST)/installed
	$(TEST)/bin/python -m tests.snapshots.names

lint: $(TEST)/installed
	$(LINT)

$(DEMO)/installed: EXTRAS := $(DEMO_BACKEND),demo
$(DEMO)/installed: pyproject.toml constraints.txt
	$(create_environment)

$(TEST)/installed: EXTRAS := torch,tensorflow,jax,data,dvs,plot,keras-cv,triton,export-jax,runtimes,test,dev
$(TEST)/installed: pyproject.toml constraints.txt
	$(create_environment)

$(GPU)/installed: EXTRAS := $(if $(filter torch,$(GPU_BACKEND)),torch$(,)triton,$(GPU_BACKEND)-cuda),data,dvs,plot,test
$(GPU)/installed: pyproject.toml constraints.txt
	$(create_environment)

# The libraries that the speed is compared with, as they install themselves.
$(PEERS)/installed:
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet torch snntorch norse tqdm scipy \
		nir nirtorch tensorboard jax flax optax spyx
	$(@D)/bin/python -m pip install --quiet --no-deps spikingjelly
	touch $@

$(NO_TENSORFLOW)/installed: EXTRAS := torch,jax,demo,test
$(NO_TENSORFLOW)/installed: pyproject.toml constraints.txt
	$(create_environment)

clean:
	rm -rf .venv .venv-* .pytest_cache build *.egg-info demo_output
