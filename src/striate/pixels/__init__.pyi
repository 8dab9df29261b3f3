from .boxes import generalised_iou as generalised_iou
from .boxes import iou as iou
from .boxes import iou_matrix as iou_matrix
from .decoding import decode as decode
from .decoding import decode_bytes as decode_bytes
from .decoding import is_picture as is_picture
from .preprocess import Preprocess as Preprocess
from .scaling import with_channels as with_channels
