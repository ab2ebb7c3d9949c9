import matplotlib as mpl

from tests.core.testing.toys import Rows


class Heavy(Rows):
    library = mpl.__name__
