"""Shared settings: one seed, exact float32 arithmetic, no leftovers."""

import os
import pathlib
import shutil

# Tensors are tiny here: threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# PyTorch must come before TensorFlow: the other order can crash on Linux.
try:
    import torch
except ImportError:
    torch = None

# Without a GPU, Triton's kernels run in its interpreter. It looks at this
# when Keras imports it.
if torch is not None and not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests compile much and compute little: XLA optimises less, in half the time.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
)

# JAX would compile the same few networks in every worker, run and subprocess.
# With a folder to keep them in it compiles each once. A file that another
# worker is writing counts as none, with a warning that pyproject.toml ignores.
_CACHE = pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import pytest  # noqa: E402

# Keras is imported where it is used: the process that only hands the tests
# out to workers has no need of a backend.

# Parts of the names of tests. Others bear their marker in their file.
# Trainings, subprocesses (each imports a backend), compilers and converters:
SLOW = (
    "/benchmarks/",
    "/examples/",
    "/test_export",
    "/test_remat",
    "::test_compiles_for_a_gpu",
    "::test_file_opens_under_another_backend",
)
# What needs no backend; and programs whose parts are tested under each:
ONCE = (
    "/benchmarks/test_gpu",
    "/benchmarks/test_presets",
    "/examples/test_training_examples.py::test_compare_losses",
    "/examples/test_training_examples.py::test_demo",
    "/examples/test_training_examples.py::test_says_which_file",
    "::test_first_example_shows_the_gain",
    "/benchmarks/test_artefacts",
    "/benchmarks/test_report",
    "/benchmarks/test_storage",
    "tests/test_checks",
    "tests/test_optional",
)


def pytest_collection_modifyitems(items):
    for marker, parts in (("slow", SLOW), ("once", ONCE)):
        for item in items:
            if any(part in item.nodeid for part in parts):
                item.add_marker(marker)


def pytest_configure(config):
    """Begin the cache anew when a year of work has filled it."""
    if not hasattr(config, "workerinput") and _CACHE.exists():
        if sum(file.stat().st_size for file in _CACHE.iterdir()) > 2e9:
            shutil.rmtree(_CACHE, ignore_errors=True)


def pytest_report_header():
    import keras

    return f"keras {keras.__version__}, backend {keras.config.backend()}"


@pytest.fixture(scope="session", autouse=True)
def exact_float32():
    """Turn TF32 off: it rounds float32 products to 10 bits on a GPU."""
    import keras

    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    else:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


@pytest.fixture(autouse=True)
def fresh_state():
    """Every test starts from the same seed, policy and name counters."""
    import keras

    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
