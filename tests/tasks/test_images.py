"""Sources of digits against their libraries, turns and blur against scipy.ndimage."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.datasets import load_digits

from configuration import rules
from tasks import images

DTYPES = (torch.float32, torch.float64)
TURNED = {torch.float32: 1e-4, torch.float64: 1e-12}  # a place is off by some roundings of S
BLURRED = {torch.float32: 1e-6, torch.float64: 1e-13}


def pictures(count, side, dtype=torch.float64):
    """(count, side^2) random brightnesses, nothing alike anywhere, also at the borders."""
    draw = torch.Generator().manual_seed(5)
    return torch.rand(count, side * side, dtype=dtype, generator=draw)


def square(row):
    side = round(len(row) ** 0.5)
    return row.reshape(side, side).double().numpy()


@pytest.mark.parametrize("name", ["embedded", "digits"])
def test_source_holds_as_many_images_as_the_configuration_counts(name):
    pixels, digits = images.load(name)
    assert len(pixels) == len(digits) == rules.MNIST_IMAGES[name]
    assert set(digits.tolist()) == set(range(10))
    assert pixels.min() == 0 and pixels.max() == 1
    assert pixels.shape[1] == {"embedded": 784, "digits": 64}[name]


def test_digits_are_those_of_scikit_learn_over_16():
    pixels, digits = images.load("digits")
    bundle = load_digits()
    assert torch.equal(pixels * 16, torch.tensor(bundle.images).flatten(1))
    assert digits.tolist() == bundle.target.tolist()


@pytest.mark.parametrize("side", [8, 28])
@pytest.mark.parametrize("dtype", DTYPES)
def test_turned_images_are_scipys_each_by_its_own_angle(side, dtype):
    angles = [0.0, 30.0, -12.5, 90.0, 45.0, -179.0]
    before = pictures(len(angles), side, dtype)
    after = images.rotated(before, torch.tensor(angles))
    assert after.dtype == dtype and after.shape == before.shape
    for old, new, angle in zip(before, after, angles, strict=True):
        expected = ndimage.rotate(square(old), angle, reshape=False, order=1, mode="grid-constant")
        np.testing.assert_allclose(
            square(new), expected, atol=1e-12 if dtype.itemsize == 8 else 1e-4
        )


@pytest.mark.parametrize("side", [8, 28])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.2, 9.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_blurred_images_are_scipys_cut_off_at_three_sigma(side, sigma, dtype):
    before = pictures(3, side, dtype)
    after = images.blurred(before, sigma)
    assert after.dtype == dtype and after.shape == before.shape
    radius = int(np.ceil(3 * sigma))
    for old, new in zip(before, after, strict=True):
        expected = ndimage.gaussian_filter(square(old), sigma, mode="constant", radius=radius)
        np.testing.assert_allclose(
            square(new), expected, atol=1e-13 if dtype.itemsize == 8 else 1e-6
        )


def test_an_image_is_turned_first_and_then_blurred():
    before = pictures(4, 28)
    torch.manual_seed(3)
    after = images.augment(before, 30.0, 1.0)
    torch.manual_seed(3)
    turned = images.augment(before, 30.0, 0.0)
    assert torch.equal(after, images.blurred(turned, 1.0)) and not torch.equal(after, turned)


def test_angles_are_uniform_in_both_directions():
    spot = torch.zeros(28, 28, dtype=torch.float64)
    spot[13:15, 25] = 1  # on the right: its place in the result tells the angle
    torch.manual_seed(0)
    after = images.augment(spot.flatten().expand(4000, -1), 40.0, 0.0).view(-1, 28, 28)
    places = torch.arange(28.0, dtype=torch.float64) - 13.5
    mass = after.sum((1, 2))
    right, down = ((after.sum(axis) @ places) / mass for axis in (1, 2))
    angles = torch.rad2deg(torch.atan2(-down, right))  # counterclockwise
    assert angles.min() > -41 and angles.max() < 41
    shares = torch.histc(angles, 8, -40, 40) / len(angles)
    assert (shares - 1 / 8).abs().max() < 0.03  # five standard deviations of a share


def test_without_rotation_nothing_is_drawn_and_without_blur_nothing_blurred():
    before, state = pictures(2, 8), torch.get_rng_state()
    assert torch.equal(images.augment(before, 0.0, 0.0), before)
    assert torch.equal(images.augment(before, 0.0, 1.0), images.blurred(before, 1.0))
    assert torch.equal(torch.get_rng_state(), state)


def test_float16_images_turn_and_blur_within_their_rounding():
    before = pictures(3, 8).half()
    torch.manual_seed(1)
    after = images.augment(before, 30.0, 1.0)
    torch.manual_seed(1)
    exact = images.augment(before.double(), 30.0, 1.0)
    assert after.dtype == torch.float16
    torch.testing.assert_close(after.double(), exact, atol=2e-3, rtol=0)
