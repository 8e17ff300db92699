"""What a network of lengstrom/fast-style-transfer makes of a synthetic picture,
by PyTorch.

    python fast_style_transfer_reference.py > fast_style_transfer_reference.json

The network has two channels, one block, and kernels of 5x5 at its ends. Its
variables are counted as TensorFlow does: of each layer the kernels [height,
width, in, out] ([height, width, out, in] where transposed), the shift and the
scale. Element i of variable n is base + 0.5 * sin(7 n + i), the base being 1 for
scales and 0 for all others. The picture's value at channel c (R, G, B), row y
and column x is (x * (3 + 2c) + y * (7 - 2c) + x * y) % 256; its sides divide by
4. The result is cut to 0..255.
"""

import itertools
import json

import torch
import torch.nn.functional as F

WIDTH, HEIGHT = 16, 12


def same(length, kernel, stride):
    """Zeros before and after a line, as TensorFlow's SAME has them."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


class Checkpoint:
    """Variables in the order of their making."""

    def __init__(self):
        self.numbers = itertools.count()

    def next(self, shape, base=0.0):
        count = torch.Size(shape).numel()
        i = torch.arange(count, dtype=torch.float64)
        return (base + 0.5 * torch.sin(7.0 * next(self.numbers) + i)).reshape(shape)

    def norm(self, x):
        shift, scale = self.next([x.shape[1]]), self.next([x.shape[1]], 1.0)
        variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        return scale[:, None, None] * (x - mean) / (variance + 1e-3) ** 0.5 + shift[:, None, None]

    def conv(self, x, outputs, kernel, stride=1):
        weight = self.next([kernel, kernel, x.shape[1], outputs]).permute(3, 2, 0, 1)
        (top, bottom), (left, right) = (same(x.shape[dim], kernel, stride) for dim in (2, 3))
        return self.norm(F.conv2d(F.pad(x, (left, right, top, bottom)), weight, stride=stride))

    def conv_transpose(self, x, outputs, kernel):
        weight = self.next([kernel, kernel, outputs, x.shape[1]]).permute(3, 2, 0, 1)
        height, width = 2 * x.shape[2], 2 * x.shape[3]
        whole = F.conv_transpose2d(x, weight, stride=2)
        (top, _), (left, _) = same(height, kernel, 2), same(width, kernel, 2)
        result = whole[:, :, top : top + height, left : left + width]
        check_gradient(x, weight, result)
        return self.norm(result)


def check_gradient(x, weight, result):
    """A transposed convolution is the gradient of that of stride 2."""
    with torch.enable_grad():
        larger = torch.zeros_like(result, requires_grad=True)
        (top, bottom), (left, right) = (same(larger.shape[dim], weight.shape[2], 2) for dim in (2, 3))
        F.conv2d(F.pad(larger, (left, right, top, bottom)), weight, stride=2).backward(x)
    assert torch.allclose(larger.grad, result)


def paint(picture):
    variables = Checkpoint()
    x = variables.conv(picture, 2, 5).relu()
    x = variables.conv(x, 4, 3, 2).relu()
    x = variables.conv(x, 8, 3, 2).relu()
    inner = variables.conv(x, 8, 3).relu()
    x = x + variables.conv(inner, 8, 3)
    x = variables.conv_transpose(x, 4, 3).relu()
    x = variables.conv_transpose(x, 2, 3).relu()
    x = variables.conv(x, 3, 5)
    return x.tanh() * 150 + 127.5


def main():
    torch.set_grad_enabled(False)
    c, y, x = torch.meshgrid(torch.arange(3), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    picture = (x * (3 + 2 * c) + y * (7 - 2 * c) + x * y) % 256
    painted = paint(picture[None].double()).clamp(0, 255)
    rows = [[round(value, 3) for value in row] for row in painted.reshape(-1, WIDTH).tolist()]
    print("[" + ",\n".join(json.dumps(row) for row in rows) + "]")


main()
