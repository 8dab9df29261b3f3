from .files import Found as Found
from .files import find as find
from .prediction import Prediction as Prediction
from .prediction import predict as predict
