from tests.core.testing.toys import Rows

print("Thank you for using Loud!")  # noqa: T201


class Loud(Rows):
    pass
