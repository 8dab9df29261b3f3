import dataclasses
import sys
import textwrap

import pytest

from striate.core.errors import ArgumentError, UnknownNameError
from striate.core.registry import Registry
from striate.core.signature import REQUIRED

REGISTRY_FILE = """
    from striate.core.registry import Registry

    tools = Registry("tool", package="PACKAGE")
    tool = tools.register
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that writes files into a fresh importable package and returns the package's registry."""
    name = f"registry_probe_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files):
        for file, text in {"registry.py": REGISTRY_FILE.replace("PACKAGE", name), **files}.items():
            target = folder / file
            target.parent.mkdir(exist_ok=True)
            target.write_text(textwrap.dedent(text).replace("PACKAGE", name))
        return __import__(f"{name}.registry", fromlist=["tools"]).tools

    yield write
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


HAMMER = """
    raise_on_import = REPLACED
    from PACKAGE.registry import tool

    @tool("hammer", help="Drives nails.", year=1900)
    def hammer(nail, *, force: float = 2.5, grip: str | None = None):
        return force * nail
"""


def test_names_help_facts_and_signature_are_read_without_importing(package):
    tools = package({"heavy.py": HAMMER})  # REPLACED is undefined: importing this file would raise NameError
    entry = tools.entry("hammer")
    assert (entry.name, entry.help, entry.facts, entry.attribute) == ("hammer", "Drives nails.", {"year": 1900}, "hammer")
    assert entry.signature.names == ("nail", "force", "grip")
    assert entry.signature["nail"].default is REQUIRED
    assert entry.signature["force"].default == 2.5
    assert entry.signature["grip"].annotation == "str | None"
    assert not any(module.endswith(".heavy") for module in sys.modules)


def test_getting_imports_the_one_file_and_returns_the_thing(package):
    tools = package({"heavy.py": HAMMER.replace("REPLACED", "None"), "inner/light.py": HAMMER.replace("hammer", "pin")})
    assert tools.names() == ("hammer", "pin")
    assert tools.get("hammer")(2) == 5.0
    assert not any(module.endswith(".light") for module in sys.modules)


def test_classes_register_with_their_constructors_signature(package):
    tools = package({"saw.py": '@tool("saw", help="Cuts.")\nclass Saw:\n    def __init__(self, teeth: int = 24): ...\n'})
    assert tools.entry("saw").signature.names == ("teeth",)


def test_an_unknown_name_names_the_nearest(package):
    tools = package({"heavy.py": HAMMER})
    with pytest.raises(UnknownNameError, match=r"unknown tool 'hamer'\. Did you mean hammer"):
        tools.get("hamer")
    assert "hammer" in tools
    assert "hamer" not in tools


def test_a_name_defined_twice_raises_and_names_both_files(package):
    tools = package({"one.py": HAMMER, "two.py": HAMMER})
    with pytest.raises(ArgumentError, match=r"tool 'hammer' is defined in \S+\.one and in \S+\.two"):
        tools.names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@tool('a', help=HELP)\ndef a(): ...\n", "help= of @tool must be a literal"),
        ("@tool('a')\ndef a(): ...\n", "write @tool"),
        ("@tool(NAME, help='x')\ndef a(): ...\n", "write @tool"),
        ("@tool('a', help='x')\ndef a(rate=RATE): ...\n", "the default of 'rate' .* must be a literal, got RATE"),
    ],
)
def test_what_is_not_literal_is_refused(package, text, message):
    with pytest.raises(ArgumentError, match=message):
        package({"wrong.py": text}).names()


def test_every_registry_of_striate_says_what_importing_gives():
    """Names, help and signatures read from the source equal those of the live thing."""
    import importlib
    import pkgutil

    import striate
    from striate.core.signature import Signature

    found = 0
    for module in pkgutil.walk_packages(striate.__path__, "striate."):
        if module.name.rpartition(".")[2] != "registry" or module.name == "striate.core.registry":
            continue
        for registry in {id(v): v for v in vars(importlib.import_module(module.name)).values() if isinstance(v, Registry)}.values():
            for entry in registry:
                thing = registry.get(entry.name)
                assert thing.registered == {"name": entry.name, "help": entry.help, "facts": entry.facts}, entry
                written = not isinstance(thing, type) or ("__init__" in vars(thing) and not dataclasses.is_dataclass(thing))
                live = Signature.of_callable(thing) if written else Signature(())
                assert live.names == entry.signature.names, entry
                assert [p.default for p in live.parameters] == [p.default for p in entry.signature.parameters], entry
                assert entry.help.strip() == entry.help
                assert "\n" not in entry.help
                found += 1
    assert found, "no registry of striate holds anything"
