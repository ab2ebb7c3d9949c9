"""The figure of `inpainting-error`: after figure 4.6 of the thesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.figures.bands import band_colours
from skyloom.figures.style import GREY, LIGHT, style
from skyloom_metrics.figures.panels import panels, remark
from skyloom_metrics.inpainted_pixels import EDGES, WITHIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from skyloom_metrics.inpainted_pixels import InpaintingDetails

_MERGED = 4  # bins of the details to one that is drawn


@style()
def draw_inpainting(details: InpaintingDetails) -> Figure:
    """Draw the fractional errors of all in-painted pixels, and of those above the background."""
    sigmas = details.score.method["sigmas"]
    figure, axes = panels(1, 2, panel=(3.0, 2.5))
    colours = band_colours(details.bands)
    for place, counts, title in (
        (axes[0, 0], details.every, "all in-painted pixels"),
        (axes[0, 1], details.significant, f"those {sigmas:g}$\\sigma$ above the background"),
    ):
        place.axvspan(-WITHIN, WITHIN, color=LIGHT, alpha=0.6, linewidth=0)
        place.axvline(0, color=GREY, linewidth=0.7)
        edges = EDGES[1:-1:_MERGED]
        for band, numbers in zip(details.bands, counts, strict=True):
            inside = numbers[1:-1].reshape(-1, _MERGED).sum(axis=1)  # the ends hold what lies beyond
            heights = inside / max(int(numbers.sum()), 1) / (edges[1] - edges[0])
            place.stairs(heights, edges, color=colours[band], label=band, linewidth=1.3)
        beyond = counts[:, [0, -1]].sum() / max(int(counts.sum()), 1)
        place.set_xlim(edges[0], edges[-1])
        place.set_ylim(0, 1.25 * place.get_ylim()[1])
        place.set_xlabel("(candidate $-$ reference) / |reference|")
        place.set_ylabel("density of pixels")
        place.set_title(title)
        lines = [f"{int(counts.sum())} pixels", f"{100 * beyond:.0f}% beyond $\\pm$1"]
        if counts is details.significant:
            lines += _shares(details)
        remark(place, "\n".join(lines))
    axes[0, 1].legend(loc="upper right")
    return figure


def _shares(details: InpaintingDetails) -> list[str]:
    """Say how many pixels of each band are within 10%."""
    named = {band: details.score.parts.get(f"{band}: within 10%") for band in details.bands}
    return [f"{band}: {100 * share:.0f}% within 10%" for band, share in named.items() if share is not None]
