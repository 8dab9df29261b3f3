from .cases import CASES as CASES
from .cases import Case as Case
from .checking import Outcome as Outcome
from .checking import check as check
from .explicit import Explicit as Explicit
from .explicit import Rule as Rule
