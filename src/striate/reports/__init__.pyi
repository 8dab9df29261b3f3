from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .listing import Summary as Summary
from .listing import runs_in as runs_in
from .run_page import report as report
