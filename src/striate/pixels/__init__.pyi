from striate.pixels.decoding import decode as decode
from striate.pixels.decoding import decode_bytes as decode_bytes
from striate.pixels.decoding import is_picture as is_picture
from striate.pixels.preprocess import Preprocess as Preprocess
from striate.pixels.scaling import with_channels as with_channels
