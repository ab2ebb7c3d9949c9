import warnings

import numpy as np

from tests.core.testing.toys import Rows

np.random.seed(1)  # noqa: NPY002
warnings.filterwarnings("ignore", message="everything is fine")


class Meddling(Rows):
    pass
