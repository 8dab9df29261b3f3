"""Where formulas register, and what every one of them can do.

A formula is a small frozen dataclass. Its fields are the operation's options (`stride=2`), its methods are the three passes and the terms of
one number. It is registered under the name of torch's function where torch has one, else under that of striate's layer.

    op = formulas.get("conv2d")(stride=2)              # the class, then its options
    op.arrays                                          # ("x", "weight", "bias"): what the methods take, in this order
    op.inputs, op.parameters                           # ("x",), ("weight", "bias"); what is in neither (a target, a mask) gets no gradient
    y = op.forward(x, weight, bias)                    # float64; bias may be left out or None, as in torch
    dx = op.message(delta, x, weight, bias)            # the message to the input, from the message `delta` that came to y; a tuple, in order,
                                                       # for an operation of several inputs (add, concat)
    grads = op.parameter_gradient(delta, x, weight, bias)        # {"weight": ..., "bias": ...}; {} where there are none
    op.terms("y", (0, 0, 0, 1), x, weight, bias)                 # what makes one output number
    op.terms("weight", (0, 0, 1, 1), x, weight, bias, delta=delta)   # ... one number of a parameter's gradient
    op.terms("x", (0, 0, 2, 2), x, weight, bias, delta=delta)        # ... one number of the message to an input

`terms(of, at, *arrays, delta=None) -> Terms`: `of` is "y" or a name in `inputs` or `parameters`, `at` an index into that array (its number of
axes is that array's, the batch included). A `Terms` is the same for every operation:

    .value               the number, equal to the entry of forward, message or parameter_gradient
    .terms               tuple of Term; the products' sum is the number (under the root in L2 pooling: `.then` is "√", else "")
    .rule                the formula in symbols
    .note                what a person should know beside it ("the first of two equal largest wins"), or ""
    str(...), .to_json()
    Term.factors, Term.value    the factors and their product
    Factor.name, .index, .value, .text    name of an array ("x", "weight", "delta") and the index of its entry; index None for a number that is
                         no entry of an array: a padded zero ("padding"), a switch, a share ("1/n"), a function ("σ′(x)"); `.text`, where there is
                         one, spells how it came about ("1/4", "1/(1 + e^(−0.5))")

Arrays are N C L, N C H W or N F, batch first; a scalar loss has the shape () and `at` (). Whatever a method gets is checked: the wrong rank, the
wrong number of channels, a kernel that does not fit, NaN or infinity raise `ArgumentError` naming the argument, what came and what is allowed.
Registered facts: `modules`, names of the classes in torch.nn or striate.layers that compute it.
"""

from __future__ import annotations

from striate.core.registry import Registry

formulas = Registry("formula", package="striate.formulas")
formula = formulas.register
