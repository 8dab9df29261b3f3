from . import arithmetic as arithmetic
from .boxes import Box as Box
from .boxes import ReceptiveField as ReceptiveField
from .boxes import Summary as Summary
from .boxes import Totals as Totals
from .summarising import summary as summary
from .wiring import Wiring as Wiring
from .wiring import wire as wire
