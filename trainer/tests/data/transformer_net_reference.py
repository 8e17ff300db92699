"""What TransformerNet of pytorch/examples, fast_neural_style, makes of a
synthetic picture, by PyTorch.

    python transformer_net_reference.py > transformer_net_reference.json

The network has two channels, one block, and kernels of 5x5 at its ends. Element
i of tensor n of its state_dict is base + amplitude * sin(7 n + i), with the
bases and amplitudes below. The picture's value at channel c (R, G, B), row y
and column x is (x * (3 + 2c) + y * (7 - 2c) + x * y) % 256; its sides divide
by 4. The result is cut to 0..255.
"""

import json

import torch
from torch import nn

WIDTH, HEIGHT = 16, 12


def conv(inputs, outputs, kernel, stride=1):
    """Their convolution is a module of two: the border, which has no tensors, and `conv2d`."""
    layers = nn.Sequential()
    layers.add_module("border", nn.ReflectionPad2d(kernel // 2))
    layers.add_module("conv2d", nn.Conv2d(inputs, outputs, kernel, stride))
    return layers


def norm(channels):
    return nn.InstanceNorm2d(channels, affine=True)


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.in1 = conv(channels, channels, 3), norm(channels)
        self.conv2, self.in2 = conv(channels, channels, 3), norm(channels)

    def forward(self, x):
        y = self.in1(self.conv1(x)).relu()
        return self.in2(self.conv2(y)) + x


class TransformerNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.in1 = conv(3, 2, 5), norm(2)
        self.conv2, self.in2 = conv(2, 4, 3, 2), norm(4)
        self.conv3, self.in3 = conv(4, 8, 3, 2), norm(8)
        self.res1 = Block(8)
        self.deconv1, self.in4 = conv(8, 4, 3), norm(4)
        self.deconv2, self.in5 = conv(4, 2, 3), norm(2)
        self.deconv3 = conv(2, 3, 5)

    def forward(self, x):
        double = nn.Upsample(scale_factor=2, mode="nearest")
        x = self.in1(self.conv1(x)).relu()
        x = self.in2(self.conv2(x)).relu()
        x = self.in3(self.conv3(x)).relu()
        x = self.res1(x)
        x = self.in4(self.deconv1(double(x))).relu()
        x = self.in5(self.deconv2(double(x))).relu()
        return self.deconv3(x)


def fill(name, number, tensor):
    base = {"deconv3.conv2d.bias": 128.0}.get(name, 1.0 if name.endswith("weight") and tensor.dim() == 1 else 0.0)
    amplitude = 20.0 if name.startswith("deconv3") else 0.5
    i = torch.arange(tensor.numel(), dtype=torch.float64)
    tensor.copy_((base + amplitude * torch.sin(7.0 * number + i)).reshape(tensor.shape))


def main():
    torch.set_grad_enabled(False)
    net = TransformerNet().double()
    for number, (name, tensor) in enumerate(net.state_dict().items()):
        fill(name, number, tensor)
    c, y, x = torch.meshgrid(torch.arange(3), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    picture = (x * (3 + 2 * c) + y * (7 - 2 * c) + x * y) % 256
    painted = net(picture[None].double()).clamp(0, 255)
    rows = [[round(value, 3) for value in row] for row in painted.reshape(-1, WIDTH).tolist()]
    print("[" + ",\n".join(json.dumps(row) for row in rows) + "]")


main()
