"""Decoding, resizing and cropping of image files."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_tcl.data import DataInfo, load
from keras_tcl.data.images.image_source import ImageSource
from tests.data.samples import write_flat_image, write_image

pytestmark = pytest.mark.once
INFO = DataInfo("mine", classes=4, shape=(None, None, 3))


def source(images, image_size=None, **options):
    labels = np.arange(len(images)) % 4
    return ImageSource(INFO, labels, images, image_size, **options)


def smooth(width, height):
    """A photograph-like image: resizing it has one sensible result."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 40 + k) * np.cos(y / 30 - k) for k in range(3)]
    return np.stack([127 + 120 * w for w in waves], -1).astype("uint8")


def test_lossless_images_of_one_size_come_as_they_are(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    pixels = [write_image(path, seed=k) for k, path in enumerate(paths)]
    images = source(paths)
    assert images.element_shape == images.info.shape == (30, 40, 3)
    x, y = images.read([2, 0])
    assert np.array_equal(x, np.stack([pixels[2], pixels[0]]))
    assert y.tolist() == [2, 0]


def test_bytes_and_paths_agree(tmp_path):
    write_image(tmp_path / "a.png")
    raw = (tmp_path / "a.png").read_bytes()
    x, _ = source([tmp_path / "a.png", raw]).read([0, 1])
    assert np.array_equal(x[0], x[1])


@pytest.mark.parametrize("size", [(60, 30), (30, 60), (40, 40)])
@pytest.mark.parametrize("image_size", [20, (20, 10), (50, 64)])
def test_resize_agrees_with_pillow(tmp_path, size, image_size):
    """Centred crop to the aspect ratio, then a bilinear resize."""
    Image.fromarray(smooth(*size)).save(tmp_path / "a.png")
    x, _ = source([tmp_path / "a.png"], image_size).read([0])
    height, width = (
        (image_size, image_size) if isinstance(image_size, int) else image_size
    )
    expected = ImageOps.fit(
        Image.open(tmp_path / "a.png"),
        (width, height),
        Image.Resampling.BILINEAR,
    )
    difference = x[0].astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1


def test_a_centred_square_is_cut_out(tmp_path):
    pixels = np.zeros((20, 60, 3), "uint8")
    pixels[:, 20:40] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    x, _ = source([tmp_path / "a.png"], 10).read([0])
    assert np.all(x[:, :, 1:-1] == 200)  # The kernel reaches over the edge.


@pytest.mark.parametrize("size", [(1024, 768), (600, 1300)])
def test_fast_jpeg_decoding_changes_next_to_nothing(tmp_path, size):
    Image.fromarray(smooth(*size)).save(tmp_path / "a.jpg", quality=95)
    images = source([tmp_path / "a.jpg"], 64, crop_bottom=20)
    x, _ = images.read([0])
    whole = Image.open(tmp_path / "a.jpg")
    whole = whole.crop((0, 0, size[0], size[1] - 20))
    expected = ImageOps.fit(whole, (64, 64), Image.Resampling.BILINEAR)
    difference = x[0].astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("image_size", [None, 32])
def test_crop_bottom(tmp_path, image_size):
    pixels = np.zeros((60, 40, 3), "uint8")
    pixels[-20:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    images = source([tmp_path / "a.png"], image_size, crop_bottom=20)
    x, _ = images.read([0])
    assert x.shape[1:] == ((40, 40, 3) if image_size is None else (32, 32, 3))
    assert not x.any()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "RGBA"])
def test_other_colour_modes_become_rgb(mode):
    image = Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode)
    raw = io.BytesIO()
    image.save(raw, "tiff")
    x, _ = source([raw.getvalue()]).read([0])
    assert x.shape == (1, 8, 8, 3) and np.all(x == 255)


def encoded(image, format, **options):
    raw = io.BytesIO()
    image.save(raw, format, **options)
    return raw.getvalue()


@pytest.mark.parametrize("format", ["png", "tiff", "ppm"])
def test_sixteen_bits_are_scaled(format):
    ramp = np.linspace(0, 65535, 4096).reshape(64, 64).astype("uint16")
    raw = encoded(Image.fromarray(ramp), format)
    x, _ = source([raw]).read([0])
    expected = np.round(ramp / 257)[..., None]
    assert x.dtype == "uint8" and np.array_equal(x[0], expected + [0, 0, 0])
    assert x[0, 0, 0, 0] == 0 and x[0, -1, -1, 0] == 255


def test_sixteen_bits_of_colour_are_scaled(tmp_path):
    """Each value once, in a PPM file written by hand."""
    values = np.arange(0, 65536, 16, "uint16").reshape(64, 64)
    rgb = np.stack([values, values[::-1], values.T], -1)
    raw = b"P6 64 64 65535\n" + rgb.astype(">u2").tobytes()
    x, _ = source([raw]).read([0])
    assert np.abs(x[0] - rgb / 257).max() <= 1


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("image_size", [None, 8])
def test_pixels_of_no_known_range_are_refused_by_name(
    tmp_path, dtype, image_size
):
    pixels = np.linspace(0, 1, 256).reshape(16, 16).astype(dtype)
    write_image(tmp_path / "a.png", (16, 16))
    Image.fromarray(pixels).save(tmp_path / "deep.tif")
    paths = [tmp_path / "a.png", tmp_path / "deep.tif"]
    kind = "floating-point" if dtype == "float32" else "32-bit"
    with pytest.raises(ValueError, match=rf"deep\.tif cannot.*{kind} pixels"):
        source(paths, image_size).read([0, 1])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("image_size", [None, 4])
def test_what_is_transparent_lies_on_white(mode, image_size):
    """Half the image is transparent, over a colour that must not appear."""
    pixels = np.zeros((8, 8, 4), "uint8")
    pixels[:, :, 3] = 255
    pixels[:4] = (60, 60, 60, 0)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = Image.fromarray((pixels[..., 0] > 0).astype("uint8"), "L")
        image = image.convert("P")
        image.putpalette([0, 0, 0, 60, 60, 60])
        raw = encoded(image, "png", transparency=1)
    else:
        raw = encoded(image.convert(mode), "png")
    x, _ = source([raw], image_size).read([0])
    assert np.all(x[0, 0] == 255) and np.all(x[0, -1] == 0)


def test_half_transparent_pixels_are_mixed_with_white():
    raw = encoded(Image.new("RGBA", (2, 2), (100, 0, 200, 51)), "png")
    x, _ = source([raw]).read([0])
    expected = 0.2 * np.array([100, 0, 200]) + 0.8 * 255
    assert np.abs(x[0] - expected).max() <= 1


TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation(format, orientation):
    """As the EXIF standard has it: 6 is a clockwise quarter turn to make."""
    pixels = smooth(40, 24)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if format == "jpeg" else {}
    options |= {"lossless": True} if format == "webp" else {}
    raw = encoded(Image.fromarray(pixels), format, exif=exif, **options)
    expected = TURNS[orientation](pixels)
    images = source([raw])
    x, _ = images.read([0])
    assert images.element_shape == x[0].shape == expected.shape
    assert np.abs(x[0].astype(int) - expected).max() <= 4


@pytest.mark.parametrize("image_size", [64, (48, 96), (96, 48)])
def test_a_turned_jpeg_is_resized_as_if_it_had_been_turned(image_size):
    whole = smooth(1024, 768)
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = encoded(Image.fromarray(whole), "jpeg", exif=exif, quality=95)
    turned = encoded(
        Image.fromarray(np.ascontiguousarray(np.rot90(whole, -1))),
        "jpeg",
        quality=95,
    )
    x, _ = source([raw, turned], image_size, crop_bottom=20).read([0, 1])
    assert np.abs(x[0].astype(int) - x[1]).max() <= 4


def test_damaged_exif_data_leave_the_image_as_it_is():
    raw = encoded(Image.fromarray(smooth(8, 8)), "jpeg", exif=b"Exif\0\0xxxx")
    plain = encoded(Image.fromarray(smooth(8, 8)), "jpeg")
    x, _ = source([raw, plain]).read([0, 1])
    assert np.array_equal(x[0], x[1])


def test_mixed_resolutions_name_two_files(tmp_path):
    write_flat_image(tmp_path / "a.png", (1, 2, 3), (40, 30))
    write_flat_image(tmp_path / "b.png", (1, 2, 3), (40, 31))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(
        ValueError, match=r"a\.png is 40 x 30.*b\.png is 40 x 31.*image_size"
    ):
        source(paths)
    assert source(paths, 16).element_shape == (16, 16, 3)


@pytest.mark.parametrize("content", [b"", b"no image", "half"])
@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_unreadable_image_is_named(tmp_path, content, image_size):
    write_image(tmp_path / "a.jpg")
    bad = tmp_path / "bad.jpg"
    if content == "half":
        whole = (tmp_path / "a.jpg").read_bytes()
        content = whole[: len(whole) // 2]
    bad.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.jpg cannot be read"):
        source([tmp_path / "a.jpg", bad], image_size).read([0, 1])


def test_unreadable_bytes_are_counted(tmp_path):
    with pytest.raises(ValueError, match="The image of example 1 cannot"):
        write_image(tmp_path / "a.png")
        source([tmp_path / "a.png", b"nothing"], 8).read([0, 1])


def test_unreadable_image_stops_the_pipeline_by_name(tmp_path):
    for k in range(4):
        write_image(tmp_path / "cat" / f"{k}.jpg", seed=k)
    (tmp_path / "cat" / "2.jpg").write_bytes(b"broken")
    data = load("image_folder", "all", 2, data_dir=tmp_path, image_size=8)
    with pytest.raises(Exception, match=r"2\.jpg cannot be read"):
        list(data)


@pytest.mark.parametrize("image_size", [0, -3, 2.5, (8, 8, 3), (8, 0), "8"])
def test_bad_image_size(tmp_path, image_size):
    write_image(tmp_path / "a.png")
    with pytest.raises(ValueError, match="Received: image_size="):
        source([tmp_path / "a.png"], image_size)
