"""What a torch function is called in the field, whether it is an operation at all, and whether it writes into its input."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

_OPERATORS = {
    "truediv": "div",
    "floordiv": "floor_divide",
    "radd": "add",
    "rmul": "mul",
    "rtruediv": "rdiv",
    "mod": "remainder",
    "invert": "bitwise_not",
}
_GETTERS = {"T", "mT", "H", "mH", "real", "imag"}
_BOOKKEEPING = {
    *("requires_grad_", "retain_grad", "register_hook", "backward", "set_", "resize_", "record_stream", "share_memory_", "pin_memory", "rename_"),
    *(
        "__deepcopy__",
        "__reduce_ex__",
        "__repr__",
        "__format__",
        "__len__",
        "__bool__",
        "__hash__",
        "__array__",
        "__setstate__",
        "__torch_dispatch__",
    ),
    *(
        "size",
        "stride",
        "dim",
        "ndimension",
        "numel",
        "nelement",
        "storage",
        "untyped_storage",
        "data_ptr",
        "element_size",
        "item",
        "tolist",
        "numpy",
    ),
    *("is_floating_point", "is_complex", "is_contiguous", "is_pinned", "is_same_size", "is_signed", "get_device", "type", "broadcast_shapes"),
}


@cache
def operation(function: Callable[..., Any]) -> str | None:
    """Return the function's plain name (`relu` for `relu_`, `add` for `__iadd__`), or None for bookkeeping such as `.shape` or `.size()`."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        attribute = getattr(getattr(function, "__self__", None), "__name__", "")
        return attribute if attribute in _GETTERS else None
    if name in _BOOKKEEPING or name in {"__set__", "__delete__"} or not name:
        return None
    if name.startswith("__") and name.endswith("__"):
        plain = name[2:-2]
        if plain not in _OPERATORS and writes(function, {}) and plain != "setitem":
            plain = plain[1:]
        return _OPERATORS.get(plain, plain)
    return name.rstrip("_").lstrip("_") or name


@cache
def _writes(function: Callable[..., Any]) -> bool:
    name = getattr(function, "__name__", "")
    if name.startswith("__") and name.endswith("__"):
        return name == "__setitem__" or (name[2] == "i" and name[2:-2] not in {"invert", "index", "int", "init"})
    return name.endswith("_") and not name.endswith("__")


def writes(function: Callable[..., Any], kwargs: dict[str, Any], args: tuple[Any, ...] = ()) -> bool:
    """Tell whether this call writes into its first input (`relu_`, `+=`, `inplace=True`, `out=`)."""
    if _writes(function) or kwargs.get("inplace") is True or kwargs.get("out") is not None:
        return True
    place = _inplace_place(function)
    return place is not None and len(args) > place and args[place] is True


@cache
def _inplace_place(function: Callable[..., Any]) -> int | None:
    import inspect

    try:
        names = list(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        return None
    return names.index("inplace") if "inplace" in names else None
