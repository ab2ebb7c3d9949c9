"""The values of Skyloom as JSON text, and back bit for bit.

::

    {
      "skyloom": 1,
      "value": {
        "$kind": "Profile",
        "axis": {"$array": "float64", "shape": [2], "base64": "AAAAAAAAAAAAAAAAAADwPw=="},
        ...
      }
    }

What stands for a value of Skyloom holds the fields of its class by their names. All of it is standard JSON,
which knows no NaN:

- An array is the base64 of its bytes, little-endian and in C order, with its dtype and shape. In a browser:
  ``new Float64Array(Uint8Array.from(atob(axis.base64), c => c.charCodeAt(0)).buffer)``.
- Another number is the shortest decimal that reads back as the same float64; those that JSON lacks are
  ``{"$float": "NaN"}``, ``{"$float": "Infinity"}`` and ``{"$float": "-Infinity"}``.
- Tuples are lists. Tables are columns with their units.
"""

from skyloom.json_codec.decoding import decode
from skyloom.json_codec.encoding import encode

__all__ = ["decode", "encode"]
