from .explanation import Explanation as Explanation
from .explanation import load as load
from .inputs import Prepared as Prepared
from .inputs import default_layer as default_layer
from .inputs import prepare as prepare
from .methods.activations import activations as activations
from .registry import methods as methods
