"""Forward and backward pass of the attention interpolator against the dense formulation."""

import argparse
import math
import os
import statistics
import time

# Threads that spin while they wait take the cores from one another on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from report import Report, add_results_option

from sklearn_sits.nn.attention import MultiTimeAttention


def dense(attention, times, values, mask):
    """Interpolate by the formula of mTAN, one tensor operation after the other.

    Dates are embedded and projected to keys for each series, even if all share them. Values are
    concatenated with their mask, so that the 2D channels tell how much was observed, and the
    scores are repeated for each channel.

    Shapes: times (n, t), values and mask (n, t, D); the result is (n, R, 2D).
    """
    n, t = times.shape
    heads = attention.n_heads
    key = attention.key(attention.embedding(times.reshape(-1))).view(n, t, heads, -1)
    query = attention.query(attention.embedding(attention.reference_times))
    query = query.view(1, -1, heads, key.shape[-1])
    channels = torch.cat([values, mask], dim=-1)  # (n, t, 2D)
    seen = torch.cat([mask, mask], dim=-1)
    scores = torch.matmul(query.transpose(1, 2), key.permute(0, 2, 3, 1))
    scores = scores / math.sqrt(key.shape[-1])  # (n, H, R, t)
    scores = scores.unsqueeze(-1).repeat_interleave(channels.shape[-1], dim=-1)
    scores = scores.masked_fill(seen[:, None, None] == 0, -1e9)
    weights = torch.softmax(scores, dim=-2)
    return (weights * channels[:, None, None]).sum(-2).flatten(1, 2)  # (n, H * R, 2D)


def run(attention, interpolate, gradient):
    """Return the result (n, c, R) and the gradient by all parameters."""
    attention.zero_grad()
    out = interpolate()
    out.backward(gradient)
    return out.detach(), torch.cat([p.grad.flatten() for p in attention.parameters()])


def median_ms(function, repeats):
    """Return the median time of some calls after one to warm up, in milliseconds."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def saved_mib(interpolate):
    """Return the memory that the forward pass holds for the backward pass, in MiB."""
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = interpolate()
    del out
    return sum(storages.values()) / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dates", type=int, default=303)
    parser.add_argument("--reference-dates", type=int, default=13)
    parser.add_argument("--bands", type=int, default=13)
    parser.add_argument("--embedding", type=int, default=128)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, help="CPU threads, all by default")
    add_results_option(parser)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)

    generator = torch.Generator().manual_seed(0)
    attention = MultiTimeAttention(args.reference_dates, args.heads, args.embedding)
    attention.reset(generator)
    # Clouds hide all bands of a date.
    seen = (torch.rand(args.batch, 1, args.dates, generator=generator) > 0.5).float()
    values = torch.randn(args.batch, args.bands, args.dates, generator=generator) * seen
    shape = (args.batch, args.bands, attention.reference_times.numel() * args.heads)
    gradient = torch.randn(shape, generator=generator)
    times = torch.linspace(0, 1, args.dates)
    # The other case: every series has its own order of dates, as if not aligned.
    index = torch.rand(args.batch, args.dates, generator=generator).argsort(1).sort(1).values
    own = times.expand(args.batch, -1).contiguous()
    of_series = values.transpose(1, 2).contiguous()
    mask = seen.transpose(1, 2).expand_as(of_series).contiguous()

    ways = {
        "dense": lambda: dense(attention, own, of_series, mask)[..., : args.bands].transpose(1, 2),
        "sklearn_sits, shared dates": lambda: attention(times, values, seen)[0],
        "sklearn_sits, own dates": lambda: attention(times, values, seen, index)[0],
    }
    rows, reference = [], None
    for name, interpolate in ways.items():
        result, slope = run(attention, interpolate, gradient)
        reference = reference or (result, slope)
        torch.testing.assert_close(result, reference[0], atol=1e-5, rtol=0)
        # A sum over all series and dates: its error is relative to its size.
        assert (slope - reference[1]).norm() <= 1e-4 * slope.norm()
        ms = median_ms(lambda way=interpolate: run(attention, way, gradient), args.repeats)
        rows.append((name, ms, saved_mib(interpolate)))
    Report(args).add(
        "passes",
        ["interpolator", "ms", "speed ratio", "saved for backward MiB"],
        [[name, f"{ms:.2f}", f"{rows[0][1] / ms:.1f}", f"{mib:.1f}"] for name, ms, mib in rows],
        f"{torch.get_num_threads()} threads, {args.batch} series, {args.dates} dates",
    )


if __name__ == "__main__":
    main()
