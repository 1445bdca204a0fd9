"""Keras' own losses, which must take logits here."""

from typing import Any

import keras


def loss_of_logits(loss: Any) -> Any:
    """Make sure that a Keras cross entropy treats the output as logits.

    One that is named, or given as a function, is told to.

    Raises:
        ValueError: If it is an object that takes probabilities.
    """
    given = keras.losses.get(loss) if isinstance(loss, str) else loss
    name = getattr(given, "__name__", "")
    kind = "".join(word.title() for word in name.split("_"))
    if kind.endswith("Crossentropy") and hasattr(keras.losses, kind):
        given = getattr(keras.losses, kind)(from_logits=True)
    elif isinstance(loss, str) and hasattr(given, "from_logits"):
        given = type(given)(from_logits=True)
    if getattr(given, "from_logits", True) is False:
        raise ValueError(
            "The model returns logits, but this loss takes probabilities. "
            f"Use `{type(loss).__name__}(from_logits=True)`. Received: "
            f"loss={loss!r} with from_logits=False."
        )
    return given
