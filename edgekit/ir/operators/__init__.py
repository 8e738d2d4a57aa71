"""The operator vocabulary: one frozen dataclass an operator, one file each, named as the field names it.

Tensors are laid out as in PyTorch, [N, C, H, W] and [N, C]; exporters to NHWC formats write the same axes in their own
order. Shapes leave the batch out. ``edgekit.ir`` lists the operators.
"""
