"""Starting a plugin: a complete package that passes its own tests as it is written."""

from __future__ import annotations

import builtins
import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from skyloom.builtin import CAPTIONER, GENERATOR, METRIC, PRIOR
from skyloom.errors import InputError, OutputError, UnknownNameError, did_you_mean
from skyloom.files import complete
from skyloom.version import version

if TYPE_CHECKING:
    from os import PathLike

TASKS = {CAPTIONER: "captioner", GENERATOR: "generator", PRIOR: "prior", METRIC: "metric"}
"""The tasks there are templates for, and how the templates are named."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 24
_USED = {"FieldGenerator", "ImagePrior", "Images", "Metric", "Profile", "Score", "SequenceCaptioner", "Tile"}


def new_plugin(name: str, task: str, folder: str | PathLike[str] = ".", *, overwrite: bool = False) -> Path:
    """Write a plugin with one model: code, tests that run the conformance kit, pyproject, README.

    Parameters
    ----------
    name
        Name of the model; lower-case words of letters and digits, joined by ``-``. The distribution
        is called ``skyloom-NAME`` and the package ``skyloom_NAME``.
    task
        The task of the model: one of the four that Skyloom defines.
    folder
        Where to make the folder ``skyloom-NAME``.
    overwrite
        Replace a folder of that name.

    Returns
    -------
    Path
        The new folder.

    Examples
    --------
    ::

        new_plugin("starfall", "field-generator", "plugins")
        # pip install -e "plugins/skyloom-starfall[test]" && cd plugins/skyloom-starfall && pytest
    """
    if task not in TASKS:
        raise UnknownNameError(f"there is no template for a task '{task}'", did_you_mean(task, TASKS))
    words = _words(name)
    root = Path(folder) / f"skyloom-{name}"
    if root.exists() and not root.is_dir():
        raise OutputError(f"'{root}' exists already and is a file", "Give another name")
    with complete(root, overwrite=overwrite) as part:
        for path, text in _render(words, task).items():
            target = part / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
    return root


def _words(name: str) -> list[str]:
    """Return the words of a name that is allowed."""
    allowed = f"Give lower-case words of letters and digits joined by '-', up to {LONGEST} characters"
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise InputError(f"the name of the plugin is '{name}'", f"{allowed}, e.g. 'isophotes'")
    if name == "skyloom" or name.startswith("skyloom-"):
        raise InputError(f"the name of the plugin is '{name}'", "Leave 'skyloom-' away: it is put before it")
    words = name.split("-")
    if find_spec("_".join(["skyloom", *words])):
        raise InputError(f"there is a package skyloom_{'_'.join(words)} already", "Give another name")
    return words


def _render(words: list[str], task: str) -> dict[str, str]:
    """Return the contents of every file by its path."""
    kind = TASKS[task]
    package = "_".join(["skyloom", *words])
    model = "".join(word.capitalize() for word in words)
    if keyword.iskeyword(model) or hasattr(builtins, model) or model in _USED:
        model += "Model"
    values = {
        "name": "-".join(words),
        "distribution": "-".join(["skyloom", *words]),
        "package": package,
        "model": model,
        "task": task,
        "skyloom": ".".join(version().split("+")[0].split(".")[:2]),
    }
    templates = {
        ".gitignore": "gitignore",
        "LICENSE": "LICENSE",
        "README.md": "README.md",
        "pyproject.toml": "pyproject.toml",
        f"{package}/__init__.py": "init.py",
        f"{package}/plugin.py": f"{kind}_plugin.py",
        f"{package}/model.py": f"{kind}.py",
        "tests/test_conformance.py": "test_conformance.py",
        "tests/test_model.py": f"test_{kind}.py",
    }
    folder = files("skyloom.scaffold") / "templates"
    rendered = {
        path: Template((folder / f"{template}.in").read_text(encoding="utf-8")).substitute(values)
        for path, template in templates.items()
    }
    return {**rendered, f"{package}/py.typed": ""}
