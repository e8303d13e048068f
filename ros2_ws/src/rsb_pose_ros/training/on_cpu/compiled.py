"""Loops that PyTorch runs slowly on a CPU, compiled by numba: gradients of depthwise convolutions, reading of volumes.

bfloat16 travels as uint16: its bits are the upper half of a float32's.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

compiled = numba.njit(cache=True, fastmath=True, nogil=True)
inlined = numba.njit(cache=True, fastmath=True, nogil=True, inline="always")

LOG2_E = np.float32(1.4426950408889634)
LEAST_EXPONENT = np.float32(-126.0)
# 2^f on −½…½: the coefficients of Cephes' exp2f.
P1, P2, P3, P4, P5, P6 = (
    np.float32(x) for x in (0.693147182, 0.240226462, 0.0555046, 0.00961810, 0.00133982, 0.000154353)
)


@intrinsic
def widened(typing, bits):  # type: ignore[no-untyped-def]
    """float32 of a bfloat16's bits (uint16)."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = builder.shl(builder.zext(arguments[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(word, ir.FloatType())

    return types.float32(types.uint16), code


@intrinsic
def narrowed(typing, value):  # type: ignore[no-untyped-def]
    """Bits (uint16) of the bfloat16 nearest to a float32, ties to even."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        bits = builder.bitcast(arguments[0], word)
        odd = builder.and_(builder.lshr(bits, ir.Constant(word, 16)), ir.Constant(word, 1))
        rounded = builder.add(builder.add(bits, odd), ir.Constant(word, 0x7FFF))
        return builder.trunc(builder.lshr(rounded, ir.Constant(word, 16)), ir.IntType(16))

    return types.uint16(types.float32), code


@intrinsic
def power_of_two(typing, exponent):  # type: ignore[no-untyped-def]
    """2^exponent as float32, exponent int32 in -126…127."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        bits = builder.shl(builder.add(arguments[0], ir.Constant(word, 127)), ir.Constant(word, 23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), code


@inlined
def exponential(x):  # type: ignore[no-untyped-def]
    """e^x of float32 x ≤ 0, in instructions that vectorise; 0 below 2^-126, where floats become denormal and slow."""
    y = max(x * LOG2_E, LEAST_EXPONENT)
    whole = np.floor(y + np.float32(0.5))
    f = np.float32(y - whole)
    p = P4 + f * (P5 + f * P6)
    p = np.float32(1.0) + f * (P1 + f * (P2 + f * (P3 + f * p)))
    return np.float32(p) * power_of_two(np.int32(whole)) if y > LEAST_EXPONENT else np.float32(0.0)  # type: ignore[call-arg]


@compiled
def depthwise_weight_gradient(images, gradients, kernel, stride, out):  # type: ignore[no-untyped-def]
    """Adds to out (K, K, C) float32 what images (N, H, W, C) and gradients (N, h, w, C), both bfloat16 bits, give."""
    count, height, width, channels = images.shape
    pad = kernel // 2
    for n in range(count):
        for y in range(gradients.shape[1]):
            for i in range(kernel):
                row = y * stride + i - pad
                if row < 0 or row >= height:
                    continue
                for x in range(gradients.shape[2]):
                    for j in range(kernel):
                        column = x * stride + j - pad
                        if column < 0 or column >= width:
                            continue
                        for c in range(channels):
                            out[i, j, c] += widened(images[n, row, column, c]) * widened(gradients[n, y, x, c])  # type: ignore[call-arg]


@compiled
def depthwise_image_gradient(gradients, weight, stride, line, out):  # type: ignore[no-untyped-def]
    """Fills out (N, H, W, C), bfloat16 bits, from gradients (N, h, w, C) and weight (K, K, C) float32; line: (C,)."""
    count, height, width, channels = out.shape
    kernel = weight.shape[0]
    pad = kernel // 2
    for n in range(count):
        for row in range(height):
            for column in range(width):
                line[:] = 0
                for i in range(kernel):
                    y = (row + pad - i) // stride
                    if (row + pad - i) % stride != 0 or y < 0 or y >= gradients.shape[1]:
                        continue
                    for j in range(kernel):
                        x = (column + pad - j) // stride
                        if (column + pad - j) % stride != 0 or x < 0 or x >= gradients.shape[2]:
                            continue
                        for c in range(channels):
                            line[c] += widened(gradients[n, y, x, c]) * weight[i, j, c]  # type: ignore[call-arg]
                for c in range(channels):
                    out[n, row, column, c] = narrowed(line[c])  # type: ignore[call-arg]


@compiled
def softmax_with_marginals(logits, probability, along_u, along_v, along_d, log_sum, mode):  # type: ignore[no-untyped-def]
    """Softmax of each volume of logits (N, D, H, W) float32 into `probability`; its marginals (N, W), (N, H), (N, D), the
    logarithm of the sum of exponentials (N,), and the mode's cell (N, 3) as (d, v, u)."""
    count, depth, height, width = logits.shape
    for n in range(count):
        highest = logits[n, 0, 0, 0]
        for d in range(depth):
            for v in range(height):
                for u in range(width):
                    highest = max(highest, logits[n, d, v, u])
        total = 0.0
        along_u[n, :] = 0
        for d in range(depth):
            along_d[n, d] = 0
        for v in range(height):
            along_v[n, v] = 0
        mode[n, 0] = -1
        for d in range(depth):
            for v in range(height):
                line = np.float32(0.0)
                best = np.float32(-1e30)
                for u in range(width):
                    weight = exponential(logits[n, d, v, u] - highest)
                    probability[n, d, v, u] = weight
                    along_u[n, u] += weight
                    line += weight
                    best = max(best, logits[n, d, v, u])
                along_v[n, v] += line
                along_d[n, d] += line
                total += line
                if best == highest and mode[n, 0] < 0:
                    mode[n, 0], mode[n, 1] = d, v
                    for u in range(width - 1, -1, -1):
                        if logits[n, d, v, u] == highest:
                            mode[n, 2] = u
        scale = np.float32(1 / total)
        along_u[n, :] *= scale
        along_v[n, :] *= scale
        along_d[n, :] *= scale
        for d in range(depth):
            for v in range(height):
                for u in range(width):
                    probability[n, d, v, u] *= scale
        log_sum[n] = np.log(total) + highest


@compiled
def marginals_gradient(probability, of_u, of_v, of_d, constant, mode, of_mode, out):  # type: ignore[no-untyped-def]
    """Fills out (N, D, H, W) with p·(of_u[u] + of_v[v] + of_d[d] + constant), of_mode (N,) more at the mode: the gradient
    of a softmax that is read by its marginals, its log-sum and its peak."""
    count, depth, height, width = probability.shape
    for n in range(count):
        for d in range(depth):
            for v in range(height):
                rest = of_v[n, v] + of_d[n, d] + constant[n]
                for u in range(width):
                    out[n, d, v, u] = probability[n, d, v, u] * (of_u[n, u] + rest)
        out[n, mode[n, 0], mode[n, 1], mode[n, 2]] += of_mode[n]


@compiled
def separable_sum(logits, along_u, along_v, along_d, out):  # type: ignore[no-untyped-def]
    """Fills out (N,) with Σ logits·along_u·along_v·along_d, one set of weights for each volume (N, D, H, W)."""
    count, depth, height, width = logits.shape
    for n in range(count):
        total = 0.0
        for d in range(depth):
            for v in range(height):
                line = np.float32(0.0)
                for u in range(width):
                    line += logits[n, d, v, u] * along_u[n, u]
                total += along_v[n, v] * along_d[n, d] * line
        out[n] = total
