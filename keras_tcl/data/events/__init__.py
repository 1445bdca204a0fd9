"""Event recordings as frames: `cifar10_dvs`, `nmnist` and `event_folder`.

`keras_tcl.data.load` passes on these options:

| option | for | |
| --- | --- | --- |
| `timesteps=4` | all | number of frames T |
| `binning="count"` | all | bins of equal event `"count"` or `"time"` |
| `frame_size` | all | pixels of the frames; 48 for `cifar10_dvs` |
| `interpolation="bilinear"` | all | how they are resized, or `"area"` |
| `values="count"` | all | events at a pixel, or `"binary"` |
| `sort=False` | all | mend a clock that runs backwards |
| `cache_dir` | all | instead of `data_dir/.keras_tcl_cache` |
| `download=False` | named sets | let tonic fetch missing files |
| `split_rule="tet"` | `cifar10_dvs` | `"tet"`, `"tebn"` or `"random"` |
| `split_seed=0` | `cifar10_dvs`, `event_folder` | the draw of `"random"` |
| `test_fraction` | the same | its share, 0.1 and 0.2 |
| `sensor_size`, `columns="xytp"` | `event_folder` | what files may not say |

See `Framing`, `read_recording` and `keras_tcl.data.splits.split_rows` for each.

For recordings or a camera of your own, `read_recording` reads the events of a
file, and a `Framing` makes frames of any array of dtype `EVENT`.
"""

from keras_tcl.data.events import cifar10_dvs, event_folder, nmnist
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.events.readers import EVENT, Recording, read_recording

__all__ = [
    "EVENT",
    "Framing",
    "Recording",
    "cifar10_dvs",
    "event_folder",
    "nmnist",
    "read_recording",
]
