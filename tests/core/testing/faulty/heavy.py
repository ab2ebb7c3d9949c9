import sys
import types

from tests.core.testing.toys import Rows

sys.modules["matplotlib"] = types.ModuleType("matplotlib")  # as if it had been imported


class Heavy(Rows):
    pass
