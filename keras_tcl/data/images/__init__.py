"""Still images: CIFAR, five fine-grained sets, digits and folders.

`keras_tcl.data.load` passes on these options:

| option | for | |
| --- | --- | --- |
| `image_size` | fine-grained sets (224), `image_folder` (`None`) | an integer, to which the shorter side is resized before the centre is cropped; a pair `(height, width)`; or `None`, images of one size as they are. The paper does not state its own |
| `labels="fine"` | `cifar100` | 100 classes, or `"coarse"`, 20 |
| `test_fraction=0.2`, `split_seed=0` | `image_folder` | the split of a folder that has none |
"""  # noqa: E501

from keras_tcl.data.images import cifar, digits, fine_grained, image_folder

__all__ = ["cifar", "digits", "fine_grained", "image_folder"]
