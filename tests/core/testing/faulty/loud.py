from tests.core.testing.toys import Rows

print("Thank you for using Loud!")


class Loud(Rows):
    pass
