from .base import Factor as Factor
from .base import Formula as Formula
from .base import Term as Term
from .base import Terms as Terms
from .convolution import Conv1d as Conv1d
from .convolution import Conv2d as Conv2d
from .windows import output_size as output_size
