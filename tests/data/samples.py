"""Tiny data sets in their official layouts, written by the tests."""

import pathlib
import tarfile

import numpy as np
from PIL import Image


def write_image(path: pathlib.Path, size=(40, 30), seed=0) -> np.ndarray:
    """Write an image of random pixels, `size` is (width, height)."""
    pixels = np.random.default_rng(seed).integers(
        0, 256, (size[1], size[0], 3), "uint8"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def write_flat_image(path: pathlib.Path, color, size=(40, 30)) -> None:
    """Write an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, tuple(color)).save(path)


def cifar_records(count: int, classes: int, label_bytes: int, seed: int):
    """Records of the binary version: `(labels, images NHWC, bytes)`."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 32, 32, 3), "uint8")
    labels = np.stack(
        [np.arange(count) % 20, np.arange(count) % classes], axis=1
    ).astype("uint8")[:, -label_bytes:]
    planes = images.transpose(0, 3, 1, 2).reshape(count, -1)
    return labels, images, np.concatenate([labels, planes], 1).tobytes()


def write_cifar10(root: pathlib.Path, per_file: int = 20):
    """Write the six files; return `{split: (images, labels)}`."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    written = {"train": [], "test": []}
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for seed, name in enumerate(names):
        labels, images, raw = cifar_records(per_file, 10, 1, seed)
        (folder / name).write_bytes(raw)
        split = "test" if name.startswith("test") else "train"
        written[split].append((images, labels[:, 0]))
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n")
    return {
        split: tuple(np.concatenate(part) for part in zip(*parts, strict=True))
        for split, parts in written.items()
    }


def write_cifar100(root: pathlib.Path, count: int = 200):
    """Write both files; return `{split: (images, coarse, fine)}`."""
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    written = {}
    for seed, split in enumerate(("train", "test")):
        labels, images, raw = cifar_records(count, 100, 2, seed)
        (folder / f"{split}.bin").write_bytes(raw)
        written[split] = (images, labels[:, 0], labels[:, 1])
    return written


def as_python_version(root: pathlib.Path, number: int, protocol: int = 2):
    """Turn written binary files into the python version, and remove them."""
    import pickle
    import shutil

    folder = (
        root / f"cifar-{number}{'-batches-py' if number == 10 else '-python'}"
    )
    binary = (
        root / f"cifar-{number}{'-batches-bin' if number == 10 else '-binary'}"
    )
    folder.mkdir()
    names = (
        {0: b"labels"}
        if number == 10
        else {0: b"coarse_labels", 1: b"fine_labels"}
    )
    for file in binary.glob("*.bin"):
        raw = np.fromfile(file, "uint8").reshape(-1, len(names) + 3072)
        content = {
            name: [int(value) for value in raw[:, column]]
            for column, name in names.items()
        }
        content[b"data"] = np.ascontiguousarray(raw[:, len(names) :])
        content[b"batch_label"] = b"of a test"
        (folder / file.stem).write_bytes(pickle.dumps(content, protocol))
    shutil.rmtree(binary)
    return folder


def write_cub200(root: pathlib.Path) -> None:
    """Six images: classes 1, 1, 2, 2, 200, 200; every other one trains."""
    folder = root / "CUB_200_2011"
    names = [
        f"{label:03d}.Bird_{label}/Bird_{label}_{k}.jpg"
        for label in (1, 2, 200)
        for k in range(2)
    ]
    for k, name in enumerate(names):
        write_image(folder / "images" / name, seed=k)
    for file, values in {
        "images.txt": names,
        "image_class_labels.txt": [1, 1, 2, 2, 200, 200],
        "train_test_split.txt": [1, 0, 1, 0, 1, 0],
    }.items():
        lines = [f"{k} {value}\n" for k, value in enumerate(values, start=1)]
        (folder / file).write_text("".join(lines))


def write_stanford_cars(root: pathlib.Path) -> None:
    """Three training images (classes 1, 14, 196), two for the test."""
    from scipy import io

    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    kinds = [
        (name, "O")
        for name in (
            "bbox_x1",
            "bbox_y1",
            "bbox_x2",
            "bbox_y2",
            "class",
            "fname",
        )
    ]
    for split, labels, file in (
        ("train", (1, 14, 196), "devkit/cars_train_annos.mat"),
        ("test", (2, 195), "cars_test_annos_withlabels.mat"),
    ):
        rows = []
        for k, label in enumerate(labels, start=1):
            name = f"{k:05d}.jpg"
            write_image(folder / f"cars_{split}" / name, seed=k)
            rows.append((1, 1, 9, 9, label, name))
        annotations = np.array(rows, dtype=kinds).reshape(1, -1)
        io.savemat(folder / file, {"annotations": annotations})
    names = np.array([f"Car {k}" for k in range(196)], dtype=object)
    io.savemat(folder / "devkit/cars_meta.mat", {"class_names": names})


def write_fgvc_aircraft(root: pathlib.Path) -> None:
    """Two images a split, with a white banner of 20 rows at the bottom."""
    folder = root / "fgvc-aircraft-2013b" / "data"
    (folder / "images").mkdir(parents=True)
    variants = ["707-320", "A340-300", "Boeing 717", "Yak-42"]
    (folder / "variants.txt").write_text("\n".join(variants) + "\n")
    number = 1000
    for split in ("train", "val", "test"):
        lines = []
        for _ in range(2):
            variant = variants[number % len(variants)]
            pixels = np.zeros((84, 60, 3), "uint8")
            pixels[..., 0] = 100
            pixels[-20:] = 255
            path = folder / "images" / f"{number}.jpg"
            Image.fromarray(pixels).save(path, quality=95)
            lines.append(f"{number} {variant}\n")
            number += 1
        file = folder / f"images_variant_{split}.txt"
        file.write_text("".join(lines))


def write_oxford_flowers102(root: pathlib.Path) -> None:
    """Six images of classes 1, 102, 3, 4, 5, 6, two a split."""
    from scipy import io

    folder = root / "oxford_flowers102"
    for k in range(1, 7):
        write_image(folder / "jpg" / f"image_{k:05d}.jpg", seed=k)
    io.savemat(
        folder / "imagelabels.mat",
        {"labels": np.array([[1, 102, 3, 4, 5, 6]], "uint8")},
    )
    io.savemat(
        folder / "setid.mat",
        {
            "trnid": np.array([[2, 1]], "uint16"),
            "valid": np.array([[3, 4]], "uint16"),
            "tstid": np.array([[5, 6]], "uint16"),
        },
    )


def write_stanford_dogs(root: pathlib.Path) -> None:
    """Classes 1 and 120, one image each for training and test."""
    from scipy import io

    folder = root / "stanford_dogs"
    (folder / "lists").mkdir(parents=True)
    for split in ("train", "test"):
        names = [f"n0{k}-Dog/n0{k}_{split}.jpg" for k in (1, 2)]
        for k, name in enumerate(names):
            write_image(folder / "Images" / name, seed=k)
        io.savemat(
            folder / "lists" / f"{split}_list.mat",
            {
                "file_list": np.array(names, dtype=object).reshape(-1, 1),
                "annotation_list": np.array(names, dtype=object),
                "labels": np.array([[1], [120]], "uint8"),
            },
        )


def pack(folder: pathlib.Path, archive: pathlib.Path, contents=False) -> None:
    """Pack a folder (or only its contents) and remove it."""
    import shutil

    mode = "w:gz" if archive.suffix in (".gz", ".tgz") else "w"
    with tarfile.open(archive, mode) as file:
        if contents:
            for path in sorted(folder.iterdir()):
                file.add(path, path.name)
        else:
            file.add(folder, folder.name)
    shutil.rmtree(folder)
