"""Convolutional network for sentences. Kim: Convolutional neural networks for sentence classification, 2014.

    box          what                                                  output for L words
    vectors      each word's vector, D numbers, laid out as channels   D x L
    conv3        100 filters over 3 words, then ReLU, max over time    100
    conv4        100 filters over 4 words, the same                    100
    conv5        100 filters over 5 words, the same                    100
    dropout      half of the 300, set side by side                     300
    fc           one row of weights a class, none longer than 3        classes

    network                       D     vectors                            movie reviews, 10-fold
    CNN-rand                      300   random, trained                    76.1 %
    CNN-static (`static`)         300   word2vec's, kept                   81.0 %
    CNN-non-static                300   word2vec's, trained                81.5 %

Vectors come from word2vec's files by `striate.zoo.load_word_vectors`. Every filter also sees the sentence's ends: k - 1 empty places stand before and
after it. Deviations: the paper edges every sentence by 4 places; its two-channel form (static and trained vectors at once) is not here.
"""

from __future__ import annotations

from torch import nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError
from striate.layers import MaxNormLinear, Transpose
from striate.zoo.boxes import Branches, Network
from striate.zoo.papers import TEXT_CNN
from striate.zoo.registry import architecture

CARD = Card(
    paper="Kim: Convolutional neural networks for sentence classification",
    year=2014,
    parameters=5_991_002,
    input=(56,),
    classes=2,
    recipe=TEXT_CNN,
    cut_points=("channels", "filters", "dropout"),
    groups=(("vectors",), ("filters",), ("fc",)),
    paper_names={"word vectors": "vectors", "convolution": "filters", "max-over-time pooling": "filters.concat", "output": "fc"},
    deviations="Sentences are edged by k - 1 empty places for filters of k words, the paper's by 4 for all. No two-channel form. "
    "The paper counts 18,765 words in the movie reviews; here come the padding and the unknown word.",
    weights="word2vec's files, text or binary, through load_word_vectors",
    error="Movie reviews, 10-fold: 23.9 % with random vectors, 19.0 % with word2vec's kept, 18.5 % with them trained",
)


@architecture(
    "text_cnn", help="Text CNN: filters over 3, 4 and 5 word vectors, max over time", year=2014, parameters=5_991_002, smallest=1, card=CARD
)
def text_cnn(
    classes: int,
    shape: tuple[int],  # noqa: ARG001 - sentences of any length will do
    *,
    words: int = 18_767,
    width: int = 300,
    kernels: tuple[int, ...] = (3, 4, 5),
    filters: int = 100,
    static: bool = False,
    dropout: float = 0.5,
    max_norm: float = 3.0,
) -> nn.Module:
    """Build the text CNN for sentences N L of word numbers below `words` (`len(vocabulary)`), whose vectors have `width` numbers.

    `kernels`: the filters' lengths in words, `filters` of each; `static` keeps the vectors as they are; `max_norm`: the largest length of a row of
    the last weights.
    """
    for name, values in (("words", (words,)), ("width", (width,)), ("kernels", kernels), ("filters", (filters,))):
        if not values or min(values) < 1:
            raise ArgumentError(f"{name}: got {values if name == 'kernels' else values[0]}, expected whole numbers from 1")
    if not 0 <= dropout < 1:
        raise ArgumentError(f"dropout: got {dropout!r}, expected the probability of a zero, from 0 up to 1")
    if len(set(kernels)) < len(kernels):
        raise ArgumentError(f"kernels: got {kernels}, expected each length once; raise filters instead")
    columns = [
        {
            f"conv{kernel}": nn.Conv1d(width, filters, kernel, padding=kernel - 1),
            f"relu{kernel}": nn.ReLU(),
            f"pool{kernel}": nn.AdaptiveMaxPool1d(1),
        }
        for kernel in kernels
    ]
    return Network(
        {
            "vectors": _vectors(words, width, static=static),
            "channels": Transpose(1, 2),
            "filters": Branches(*columns),
            "flatten": nn.Flatten(),
            "dropout": nn.Dropout(dropout),
            "fc": MaxNormLinear(len(kernels) * filters, classes, max_norm),
        }
    )


def _vectors(words: int, width: int, *, static: bool) -> nn.Embedding:
    """Return random vectors, uniform in ±0.25; that of the padding, number 0, is zero and stays so."""
    vectors = nn.Embedding(words, width, padding_idx=0)
    nn.init.uniform_(vectors.weight, -0.25, 0.25)
    nn.init.zeros_(vectors.weight.data[0])
    vectors.weight.requires_grad_(not static)
    return vectors
