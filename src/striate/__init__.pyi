from . import data as data
from . import reports as reports
from . import training as training
from . import use as use
from . import zoo as zoo
from .core.contracts import Recipe as Recipe
from .reports import compare as compare
from .reports import report as report
from .training import Run as Run
from .training import ensemble as ensemble
from .training import evaluate as evaluate
from .training import find_rate as find_rate
from .training import resume as resume
from .training import train as train
from .use import predict as predict

__version__: str
