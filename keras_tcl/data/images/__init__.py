"""Still images: CIFAR, five fine-grained sets, digits and folders.

`keras_tcl.data.load` passes on these options:

| option | for | |
| --- | --- | --- |
| `image_size` | fine-grained sets, `image_folder` | see below |
| `labels="fine"` | `cifar100` | 100 classes, or `"coarse"`, 20 |
| `split_seed=0` | `image_folder` | the draw of a folder without splits |
| `test_fraction=0.2` | `image_folder` | the share of its test split |

`image_size` is an integer, to which the shorter side is resized before the
centre is cropped; a pair `(height, width)`; or `None`, images of one size as
they are. It is 224 for the fine-grained sets, whose size the paper does not
state, and `None` for folders.
"""

from keras_tcl.data.images import cifar, digits, fine_grained, image_folder

__all__ = ["cifar", "digits", "fine_grained", "image_folder"]
