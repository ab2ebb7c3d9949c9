"""What the pixels of an image tell of mistakes that a profile would not show: units, sky, saturation, gaps.

Every captioner can ask the same questions, and then says the same of the same image.
"""

from skyloom_photometry.flux import OFF_SCALE, Brightness, brightness, judge_flux
from skyloom_photometry.gaps import judge_gaps
from skyloom_photometry.light import SATURATED, SKY_LEFT, is_saturated, sky_left

__all__ = [
    "OFF_SCALE",
    "SATURATED",
    "SKY_LEFT",
    "Brightness",
    "brightness",
    "is_saturated",
    "judge_flux",
    "judge_gaps",
    "sky_left",
]
