"""From a recording's peaks to the path of its drawing. Pure; the colours and the cursor are the style sheet's.

The loudest stretch fills the height, so that a quiet line can be read as well. Invariant: digits and letters only
come out, whatever stands in the database.
"""

from __future__ import annotations

from collections.abc import Sequence

BARS = 100
HEIGHT = 32


def path(peaks: Sequence[int] | None, bars: int = BARS) -> str:
    """Return an SVG path of up to `bars` upright strokes, one unit apart, in a box `HEIGHT` high; "" of nothing."""
    if not peaks:
        return ""
    count = min(bars, len(peaks))
    stretches = (peaks[len(peaks) * n // count : len(peaks) * (n + 1) // count] for n in range(count))
    loudest = max(1, *peaks)
    strokes = []
    for n, stretch in enumerate(stretches):
        # The root lifts soft speech; a stroke of two units is silence that can still be seen.
        half = max(1.0, HEIGHT / 2 * (max(stretch) / loudest) ** 0.7)
        strokes.append(f"M{n}.5 {HEIGHT / 2 - half:.1f}V{HEIGHT / 2 + half:.1f}")
    return "".join(strokes)
