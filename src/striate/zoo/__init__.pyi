from . import papers as papers
from .building import build as build
from .building import card as card
from .building import names as names
from .building import spec_of as spec_of
from .weights import Loaded as Loaded
from .weights import load_weights as load_weights
