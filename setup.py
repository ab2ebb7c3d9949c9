"""Find the packages of the source roots; pyproject.toml says everything else.

A source root is a folder that holds one package, such as ``core`` or ``plugins/pix2prof``. Setuptools takes
no patterns for such folders, so that each would have to be listed.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
found = sorted([*ROOT.glob("*/skyloom*/__init__.py"), *ROOT.glob("plugins/*/skyloom_*/__init__.py")])
folders = [path.parent.relative_to(ROOT) for path in found]

setup(
    package_dir={folder.name: folder.as_posix() for folder in folders},
    packages=[
        package
        for folder in folders
        for package in find_packages(folder.parent.as_posix(), include=[folder.name, f"{folder.name}.*"])
    ],
)
