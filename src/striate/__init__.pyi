from striate import data as data
from striate import reports as reports
from striate import training as training
from striate import use as use
from striate import zoo as zoo
from striate.core.contracts import Recipe as Recipe
from striate.reports import compare as compare
from striate.reports import report as report
from striate.training import Run as Run
from striate.training import ensemble as ensemble
from striate.training import evaluate as evaluate
from striate.training import find_rate as find_rate
from striate.training import resume as resume
from striate.training import train as train
from striate.use import predict as predict

__version__: str
