"""Networks from outside the zoo behind the same words: `timm:NAME`, `torchvision:NAME`, and `package.module:factory` for one's own.

    zoo.build("timm:convnext_tiny", classes=10, input=(3, 224, 224))
    zoo.build("mynets:small", classes=10, input=(1, 28, 28), options={"width": 8})

Neither library is a dependency: its import is tried, and a failure says what to do. A factory of one's own is a function (or an nn.Module class) that
gets, by name, whichever of these it takes: `classes` (or num_classes), `input` (or shape: C H W), `channels` (or in_channels, in_chans); `options` go
to it as they are. A network that is built already is taken as it is: a copy of it.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard

from striate.core.contracts import LIBRARIES
from striate.core.errors import ArgumentError, StriateError, nearest

if TYPE_CHECKING:
    from torch import nn

WORDS = {
    "classes": ("classes", "num_classes"),
    "input": ("input", "shape", "input_shape"),
    "channels": ("channels", "in_channels", "in_chans"),
}
"""What a factory may call the number of classes, the input's shape and its channels."""
SIDES = (224, 224)
"""Height and width where only the channels are known."""


def is_outside(name: str) -> bool:
    """Tell whether a name means a network from outside: those of the zoo have no colon."""
    return ":" in name


def check_name(name: str) -> None:
    """Raise `ArgumentError` where a name from outside is misspelled or its package is not installed; nothing is imported."""
    source, _, what = name.partition(":")
    if not source or not what:
        raise ArgumentError(f"model: got {name!r}, expected timm:NAME, torchvision:NAME or package.module:factory")
    top = source.partition(".")[0]
    if source.endswith(".py") or not all(part.isidentifier() for part in source.split(".")):
        file = Path(source).stem if Path(source).suffix == ".py" else "nets"
        raise ArgumentError(f"model: {source!r} in {name!r} is not a module's name; for a file {file}.py in this folder write {file}:{what}")
    if importlib.util.find_spec(top) is None and not _in_this_folder(top):
        advice = (
            f"install it (pip install {top}; `-c constraints.txt` keeps it from replacing torch)"
            if top in LIBRARIES
            else "run striate where it lies, or install it"
        )
        raise ArgumentError(f"model: {name!r} needs {top}, which is not here: {advice}")


def options(assignments: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` words for a network whose signature nobody knows before its import: values are JSON, and text where they are not."""
    found = {}
    for assignment in assignments:
        key, given, text = assignment.partition("=")
        if not given or not key.strip().isidentifier():
            raise ArgumentError(f"--model-option {assignment}: expected KEY=VALUE")
        try:
            found[key.strip()] = json.loads(text)
        except ValueError:
            found[key.strip()] = text
    return found


def names(pattern: str) -> tuple[str, ...]:
    """Return the names in timm or torchvision that match, as `timm:resnet*` does. Raises `ArgumentError` for any other source."""
    source, _, wanted = pattern.partition(":")
    if source not in LIBRARIES:
        raise ArgumentError(f"pattern: only the networks of {' and '.join(LIBRARIES)} can be listed, got {pattern!r}")
    return tuple(f"{source}:{name}" for name in _listed(_library(source), wanted or "*"))


def build(name: str, classes: int, shape: tuple[int, int, int], options: Mapping[str, Any]) -> nn.Module:
    """Build a network from outside, freshly initialised. Raises `ArgumentError` that names what was missing or refused."""
    check_name(name)
    source, _, what = name.partition(":")
    if source in LIBRARIES:
        return _from_library(source, what, classes, shape, options)
    return _from_factory(name, source, what, classes, shape, options)


def made_for(name: str) -> tuple[int | None, tuple[int, int, int] | None]:
    """Return the number of classes and the input's shape C H W that a factory of one's own takes by default; None where its signature names none.

    Raises `ArgumentError` that names what was missing.
    """
    from torch import nn

    check_name(name)
    source, _, what = name.partition(":")
    factory = None if source in LIBRARIES else _named(name, source, what)
    if factory is None or isinstance(factory, nn.Module):
        return None, None
    taken = _parameters(factory)
    known = {meaning: taken[word].default for meaning, words in WORDS.items() for word in words if word in taken}
    classes, shape, channels = (known.get(meaning) for meaning in ("classes", "input", "channels"))
    if isinstance(shape, (tuple, list)) and len(shape) == 3 and all(_is_size(n) for n in shape):
        return (classes if _is_size(classes) else None), (shape[0], shape[1], shape[2])
    return (classes if _is_size(classes) else None), ((channels, *SIDES) if _is_size(channels) else None)


def _is_size(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _from_library(source: str, what: str, classes: int, shape: tuple[int, int, int], options: Mapping[str, Any]) -> nn.Module:
    library = _library(source)
    if what not in (known := _listed(library, "*")):
        close = nearest(what, known)
        raise ArgumentError(f"model: {source} has no {what!r}.{f' Did you mean {source}:' + f' or {source}:'.join(close) + '?' if close else ''}")
    model: nn.Module
    if source == "timm":
        given = {"num_classes": classes, "in_chans": shape[0], **options}
        model = _called(f"timm:{what}", lambda: library.create_model(what, pretrained=False, **given))
        return model
    model = _called(f"torchvision:{what}", lambda: library.models.get_model(what, weights=None, num_classes=classes, **options))
    if shape[0] != 3:
        from striate.surgery import adapt_first_layer, notes

        model = adapt_first_layer(model, shape[0])
        warnings.warn(f"torchvision:{what} is made for 3 channels: {notes(model)[-1]}", stacklevel=4)
    return model


def _from_factory(name: str, source: str, what: str, classes: int, shape: tuple[int, int, int], options: Mapping[str, Any]) -> nn.Module:
    from torch import nn

    factory = _named(name, source, what)
    if isinstance(factory, nn.Module):
        if options:
            raise ArgumentError(f"model: {name} is a network that is built already and takes no options, got {', '.join(options)}; name its factory")
        return copy.deepcopy(factory)
    known = _given(factory, {"classes": classes, "input": shape, "channels": shape[0]}, options)
    made = _called(name, lambda: factory(**known, **options))
    if not isinstance(made, nn.Module):
        raise ArgumentError(f"model: {name} returned {type(made).__name__}, expected an nn.Module")
    return made


def _named(name: str, source: str, what: str) -> Any:
    """Return the function, class or network that a name means."""
    found: Any = _module(name, source)
    for part in what.split("."):
        if not hasattr(found, part):
            close = nearest(part, (word for word in vars(found) if not word.startswith("_")))
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise ArgumentError(f"model: {source} has no {what!r}.{hint}")
        found = getattr(found, part)
    if not callable(found):
        raise ArgumentError(f"model: {name} is {type(found).__name__}, expected a function or class that returns an nn.Module")
    return found


def _given(factory: Callable[..., Any], values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of our values a factory takes, under its own words for them."""
    taken = _parameters(factory)
    return {
        word: values[meaning]
        for meaning, words in WORDS.items()
        for word in words
        if word in taken and word not in options and taken[word].kind is not inspect.Parameter.POSITIONAL_ONLY
    }


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return {}


def _called(name: str, make: Callable[[], Any]) -> Any:
    """Call a foreign factory; whatever it raises is told with its name."""
    try:
        return make()
    except StriateError:
        raise
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"model: {name} refuses these arguments: {error}") from error
    except Exception as error:
        raise ArgumentError(f"model: {name} could not be built, for its own code raised {_told(error)}") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _listed(library: ModuleType, pattern: str) -> list[str]:
    from fnmatch import fnmatchcase

    found = library.list_models() if library.__name__ == "timm" else library.models.list_models(module=library.models)
    return [name for name in found if fnmatchcase(name, pattern)]


def _library(source: str) -> ModuleType:
    """Import timm or torchvision; where that fails say why and what to do."""
    check_name(f"{source}:any")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, at import, say nothing about the network asked for
            return importlib.import_module(source)
    except (ImportError, RuntimeError, OSError) as error:
        import torch

        first = str(error).strip().splitlines()[0]
        compiled = " Its compiled part and torch do not fit each other:" if "torchvision::" in first or isinstance(error, OSError) else ""
        raise ArgumentError(
            f"model: {source} cannot be imported ({type(error).__name__}: {first}).{compiled} "
            f"install the torchvision made for torch {torch.__version__}, from the same place as torch"
        ) from error


def _module(name: str, source: str) -> ModuleType:
    """Import a module of the user's own; the current folder counts as a place to find it."""
    import torch

    here = str(Path.cwd())
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.append(here)
    weightless = torch.empty(0).is_meta
    try:
        with torch.device("cpu") if weightless else nullcontext():  # what it builds at its import outlives whoever asked
            return importlib.import_module(source)
    except ImportError as error:
        raise ArgumentError(f"model: {source} in {name!r} cannot be imported ({error}); run striate where it lies, or install it") from error
    except Exception as error:
        raise ArgumentError(f"model: {source} in {name!r} cannot be imported, for its own code raised {_told(error)}") from error
    finally:
        if added:
            sys.path.remove(here)


def _in_this_folder(top: str) -> bool:
    return Path(f"{top}.py").is_file() or Path(top).is_dir()
