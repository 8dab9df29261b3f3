from .box import Box as Box
from .box import Explained as Explained
from .running import trace as trace
from .spec import SpecError as SpecError
from .spec import Step as Step
from .spec import build as build
from .spec import parse as parse
from .traced import Trace as Trace
