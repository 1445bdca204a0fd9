"""What a model was made with, without what differs from run to run."""

import json
import re
from collections.abc import Callable
from typing import Any

# They differ between two runs of one program, or are part of the state; a
# `module` of PyTorch holds its weights.
_LEFT_OUT = ("seed", "shared_object_id", "build_config", "module")
# By these, a network's config names a layer, or refers to one.
_NAMES = ("name", "keras_history", "input_layers", "output_layers")


def without_chance(get_config: Callable[[], Any]) -> Any:
    """What a method returns, as JSON holds it; `None` where it fails."""
    try:
        config = get_config()
    except Exception:  # A model of one's own may have none.
        return None
    return _normal(json.loads(json.dumps(config, default=_type_name)), {})


def _normal(config: Any, numbers: dict[str, int], is_name: bool = False) -> Any:
    """A config without what Keras numbers, draws or compiles by itself.

    Layers have numbers by their order in it, which `numbers` collects: they
    tell what is connected to what, however far Keras had counted before.
    """
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            return "lambda"
        kept = {k: v for k, v in config.items() if k not in _LEFT_OUT}
        return {k: _normal(v, numbers, k in _NAMES) for k, v in kept.items()}
    if isinstance(config, list):
        return [_normal(value, numbers, is_name) for value in config]
    if not isinstance(config, str):
        return config
    name = re.sub(r"(_\d+)+$", "", config)
    if is_name:
        return f"{name} {numbers.setdefault(config, len(numbers))}"
    return name


def _type_name(value: Any) -> str:
    return type(value).__name__
