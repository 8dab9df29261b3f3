from .cross_entropy import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from .hinge import MultiClassHinge as MultiClassHinge
from .regularisers import l1 as l1
from .regularisers import l2 as l2
from .squared_error import SquaredError as SquaredError
