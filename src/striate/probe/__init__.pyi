from .calls import Call as Call
from .calls import Recording as Recording
from .recording import record as record
from .untouched import traceless as traceless
from .unwrapping import original as original
