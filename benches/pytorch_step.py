#!/usr/bin/env python3
"""Times a training step in PyTorch, for comparison with `cargo bench --workspace --bench step`.

    pip install torch
    python benches/pytorch_step.py --width 16 --batch 4 --size 256 --threads 2
    python benches/pytorch_step.py --width 32 --device cuda --channels-last --half --compile

The same network, losses (the paper's weights), VGG-19 up to conv5_1 and Adam. Weights and pictures are random, which takes
as long as real ones. Prints one JSON object: the median seconds of a step.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    """Reflection padding, convolution, instance norm and perhaps ReLU."""

    def __init__(self, inputs, outputs, kernel, stride=1, relu=True, upsample=False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.InstanceNorm2d(outputs, affine=True)
        self.reach, self.relu, self.upsample = kernel // 2, relu, upsample

    def forward(self, x):
        if self.upsample:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.norm(self.conv(F.pad(x, [self.reach] * 4, mode="reflect")))
        return F.relu(x) if self.relu else x


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(Layer(channels, channels, 3), Layer(channels, channels, 3, relu=False))

    def forward(self, x):
        return x + self.layers(x)


def style_network(c):
    return nn.Sequential(
        Layer(3, c, 9), Layer(c, 2 * c, 3, 2), Layer(2 * c, 4 * c, 3, 2),
        *[Block(4 * c) for _ in range(5)],
        Layer(4 * c, 2 * c, 3, upsample=True), Layer(2 * c, c, 3, upsample=True), Layer(c, 3, 9, relu=False))


class Vgg19(nn.Module):
    """The activations that the losses look at."""

    STYLE, CONTENT, POOLED = (0, 2, 4, 8, 12), 9, (2, 4, 8, 12)

    def __init__(self):
        super().__init__()
        widths = [64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in zip([3] + widths, widths))
        self.requires_grad_(False)

    def forward(self, x, last=12):
        style, content = [], None
        for i, layer in enumerate(self.layers[:last + 1]):
            if i in self.POOLED:
                x = F.max_pool2d(x, 2)
            x = F.relu(layer(x))
            if i in self.STYLE:
                style.append(x)
            if i == self.CONTENT:
                content = x
        return style, content


def gram(x):
    n, c, h, w = x.shape
    x = x.reshape(n, c, h * w)
    x = x.float()  # sums of squares of a large image are beyond 16 bits
    return x @ x.transpose(1, 2) / (c * h * w)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--width", type=int, default=16)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--device", default="cpu")
    p.add_argument("--half", action="store_true", help="mixed precision with loss scaling")
    p.add_argument("--compile", action="store_true", help="torch.compile")
    a = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    layout = torch.channels_last if a.channels_last else torch.contiguous_format
    torch.backends.cudnn.benchmark = True
    net, vgg = (m.to(a.device, memory_format=layout) for m in (style_network(a.width), Vgg19()))
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    scaler = torch.amp.GradScaler(a.device, enabled=a.half)
    shape = (a.batch, 3, a.size, a.size)
    def losses(photos):
        with torch.no_grad():
            target = vgg(photos, Vgg19.CONTENT)[1]
        painted = (torch.tanh(net(photos / 255)) + 1) * 127.5
        style, content = vgg(painted)
        loss = 10 * F.mse_loss(content.float(), target.float())
        loss = loss + 100 * sum(F.mse_loss(gram(f), g.expand(a.batch, -1, -1)) for f, g in zip(style, painting))
        across = (painted[..., 1:] - painted[..., :-1]).abs().sum()
        down = (painted[..., 1:, :] - painted[..., :-1, :]).abs().sum()
        return loss + 0.004 * (across + down) / a.batch

    with torch.no_grad():
        painting = [gram(f)[:1] for f in vgg(torch.rand(shape, device=a.device) * 255)[0]]
    if a.compile:
        losses = torch.compile(losses)
    seconds = []
    for _ in range(a.steps + 1 + 3 * a.compile):
        photos = (torch.rand(shape, device=a.device) * 255).to(memory_format=layout)
        start = time.perf_counter()
        adam.zero_grad()
        with torch.autocast(a.device, torch.float16, enabled=a.half):
            loss = losses(photos)
        scaler.scale(loss).backward()
        scaler.step(adam)
        scaler.update()
        loss.item()
        seconds.append(time.perf_counter() - start)
    seconds = seconds[3 * a.compile:]
    print(json.dumps({
        "engine": f"PyTorch {torch.__version__}" + (", channels last" if a.channels_last else ""),
        "width": a.width, "batch": a.batch, "size": a.size, "device": a.device, "half": a.half, "compiled": a.compile,
        "threads": a.threads, "steps": a.steps,
        "s_median": round(statistics.median(seconds[1:]), 3), "s_min": round(min(seconds[1:]), 3)}))


if __name__ == "__main__":
    main()
