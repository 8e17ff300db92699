"""What VGG-19 makes of a synthetic picture, by numpy alone.

    python vgg19_reference.py vgg19.safetensors > vgg19_reference.json

The weights are Oxford's (torchvision's names, input channels B, G, R). Values
at channel c (R, G, B), row y and column x: (x * (3 + 2c) + y * (7 - 2c) + x * y) % 256.
For each measured layer, after ReLU: the mean, the mean square, the sum of the
last channel, and the sum of the Gram matrix divided by h * w * c.
"""

import json
import struct
import sys

import numpy as np

SIZE = 64
NAMES = [
    ("conv1_1", 0), ("conv1_2", 2), ("conv2_1", 5), ("conv2_2", 7),
    ("conv3_1", 10), ("conv3_2", 12), ("conv3_3", 14), ("conv3_4", 16),
    ("conv4_1", 19), ("conv4_2", 21), ("conv4_3", 23), ("conv4_4", 25),
    ("conv5_1", 28),
]  # fmt: skip
MEASURED = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1"]


def load(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, info in header.items():
        if name != "__metadata__":
            start, end = (8 + length + o for o in info["data_offsets"])
            kind = {"F16": np.float16, "F32": np.float32}[info["dtype"]]
            values = np.frombuffer(data[start:end], kind).astype(np.float64)
            tensors[name] = values.reshape(info["shape"])
    return tensors


def conv_relu(x, weight, bias):
    _, h, w = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    y = np.zeros((weight.shape[0], h, w)) + bias[:, None, None]
    for i in range(3):
        for j in range(3):
            y += np.einsum("oc,chw->ohw", weight[:, :, i, j], padded[:, i : i + h, j : j + w], optimize=True)
    return np.maximum(y, 0)


def main():
    tensors = load(sys.argv[1])
    c, y, x = np.mgrid[0:3, 0:SIZE, 0:SIZE]
    rgb = ((x * (3 + 2 * c) + y * (7 - 2 * c) + x * y) % 256).astype(np.float64)
    x = rgb[::-1] - np.array([103.939, 116.779, 123.68])[:, None, None]
    result = {}
    for name, number in NAMES:
        if name.endswith("_1") and name != "conv1_1":
            d, h, w = x.shape
            x = x.reshape(d, h // 2, 2, w // 2, 2).max(axis=(2, 4))
        x = conv_relu(x, tensors[f"features.{number}.weight"], tensors[f"features.{number}.bias"])
        if name in MEASURED:
            d, h, w = x.shape
            flat = x.reshape(d, h * w)
            result[name] = {
                "shape": list(x.shape),
                "mean": float(x.mean()),
                "mean_square": float((x * x).mean()),
                "last": float(x[-1].sum()),
                "gram_sum": float((flat @ flat.T).sum() / (h * w * d)),
            }
    print(json.dumps(result, indent=1))


main()
