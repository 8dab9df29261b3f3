from striate.use.files import Found as Found
from striate.use.files import find as find
from striate.use.prediction import Prediction as Prediction
from striate.use.prediction import predict as predict
