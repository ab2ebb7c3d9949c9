"""How a plugin describes what it offers: small records that import nothing heavy."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from skyloom.frozen import Frozen
from skyloom.names import Address, Name, Target


class TaskSpec(Frozen):
    """A task: an interface that models implement, known by name.

    Attributes
    ----------
    name
        E.g. ``"sequence-captioner"``.
    summary
        What it is for, in one line.
    interface
        The abstract class its models derive from.
    checks
        A function without arguments that returns the conformance checks of this task (see
        `skyloom.testing`); they run beside the checks that hold for every model.
    """

    name: Name
    summary: str = Field(min_length=1, max_length=120, pattern=r"^[^\n]+$")
    interface: Target
    checks: Target | None = None


class ModelSpec(Frozen):
    """A model: one implementation of a task.

    Attributes
    ----------
    name, task
        What `skyloom.load` knows it by, and which task it does.
    summary
        What it does, in one line.
    factory
        The class. Without weights it is called with the options of the user as keywords; with
        weights, with a `Bundle` first, which knows how its graphs are to run.
    weights
        ``"none"`` for a model that works as it is, ``"bundle"`` for one that needs a trained bundle.
    tiny
        Options that make the model small enough to build and run within a second; the conformance
        kit, tests and documentation use them.
    tiny_bundle
        For a model with weights: a function that is called with a path and the ``tiny`` options as
        keywords and writes a small bundle with random weights there. It may import PyTorch.
    graphs
        For a model with weights: a function that is called with the configuration of a trained
        network and the path of its weights and returns what `skyloom export` needs to make a bundle
        of it, an ``skyloom_export.Exportable``. It may import PyTorch.
    importer
        For a model with weights: a function that is called with the path of a checkpoint of another
        layout, such as the published one, and returns an ``skyloom_export.Exportable`` for `skyloom
        import`. It reads the file without running code from it, and may import PyTorch.
    training
        For a model with weights: a function that is called without arguments and returns what
        `skyloom train` needs to train a network, a ``skyloom_train.Trainable``. It may import PyTorch.
    bands
        The bands it needs, if it needs particular ones.
    example_size
        Rows and columns of the images that the conformance kit gives it.
    stochastic
        Whether its results depend on the seed.
    licence, citation, url
        Terms of use, what to cite, and where to read more.
    expected_failures
        Name of a conformance check to the reason why the model does not pass it.
    """

    name: Name
    task: Name
    summary: str = Field(min_length=1, max_length=120, pattern=r"^[^\n]+$")
    factory: Target
    weights: Literal["none", "bundle"] = "none"
    tiny: dict[str, Any] = {}
    tiny_bundle: Target | None = None
    graphs: Target | None = None
    importer: Target | None = None
    training: Target | None = None
    bands: tuple[str, ...] | None = None
    example_size: tuple[int, int] = (64, 64)
    stochastic: bool = False
    licence: str = ""
    citation: str = ""
    url: Address = ""
    expected_failures: dict[str, str] = {}


class WeightsSpec(Frozen):
    """Trained weights: a bundle in the plugin or to be downloaded, or a file that is to be converted.

    Attributes
    ----------
    name, model
        What `skyloom.load` knows it by, and the model it belongs to.
    summary
        What it was trained on and for, in one line.
    url, sha256, size
        Where the bundle lies as one ``.zip`` file, its digest (64 hexadecimal digits) and its bytes.
    package_path
        Instead of those three, for a bundle that ships with the plugin: ``"package:folder/in/it"``,
        of a top-level package.
    source, file
        Instead of those, for weights that were published in another form: the page where they are found,
        and the name of the file there, which ``skyloom import`` makes a bundle of.
    licence, citation
        Terms of use and what to cite.
    """

    name: Name
    model: Name
    summary: str = Field(min_length=1, max_length=120, pattern=r"^[^\n]+$")
    url: Address = ""
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    size: int = Field(default=0, ge=0)
    package_path: str = Field(default="", pattern=r"^([A-Za-z_]\w*:\w[\w.-]*(/\w[\w.-]*)*)?$")
    source: Address = ""
    file: str = Field(default="", pattern=r"^(\w[\w.-]*)?$")
    licence: str = Field(min_length=1)
    citation: str = ""

    def model_post_init(self, context: object) -> None:
        """Refuse weights that lie nowhere, or in two places."""
        del context
        ways = (self.url, self.sha256, self.size), (self.package_path,), (self.source, self.file)
        given = [way for way in ways if any(way)]
        if len(given) != 1 or not all(given[0]):
            raise ValueError("give url, sha256 and size together, or package_path alone, or source and file")
