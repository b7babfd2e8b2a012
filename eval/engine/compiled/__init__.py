"""Training programs compiled by `torch.compile`'s back end: element-wise work fused, so that numbers are moved less
often.

Of a small network the whole step of training becomes one program (`step`); of a large one the repeated layers do, with
their derivative, and layers that are alike share one (`parts`). A program is for all members of an ensemble at once and
good for one shape of batch. Building one takes seconds to a minute (less once PyTorch has it on disk) and needs a C++
compiler, or Triton on a GPU.

Compiled and plain programs round differently in the last digits: an ensemble is one or the other from its first step to
its last.
"""
