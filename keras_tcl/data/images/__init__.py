"""Still images."""

from keras_tcl.data.dataset import Dataset
from keras_tcl.data.images.cifar import CIFAR10, CIFAR100
from keras_tcl.data.images.cub200 import CUB200
from keras_tcl.data.images.digits import DIGITS
from keras_tcl.data.images.fgvc_aircraft import FGVC_AIRCRAFT
from keras_tcl.data.images.image_folder import IMAGE_FOLDER
from keras_tcl.data.images.oxford_flowers102 import OXFORD_FLOWERS102
from keras_tcl.data.images.stanford_cars import STANFORD_CARS
from keras_tcl.data.images.stanford_dogs import STANFORD_DOGS

DATASETS: dict[str, Dataset] = {
    dataset.info.name: dataset
    for dataset in (
        CIFAR10,
        CIFAR100,
        CUB200,
        STANFORD_CARS,
        FGVC_AIRCRAFT,
        OXFORD_FLOWERS102,
        STANFORD_DOGS,
        DIGITS,
        IMAGE_FOLDER,
    )
}
