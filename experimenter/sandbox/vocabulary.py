"""The words that a reward program may use: one list for the static check and for the frozen facades.

What is left out is left out on purpose: files, randomness, callbacks into Python (``vectorize``), memory tricks
(``resize``, ``as_strided``), and whatever could keep state between calls.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BUILTINS", "FIELDS", "GROUPS", "LINALG", "MATH", "METHODS", "NUMPY"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FIELDS: Final = frozenset(
    {"obs", "next_obs", "action", "terminated", "truncated", "native_reward", "elapsed", "gamma"}
)
"""Fields of a batch ``t`` that are arrays (``gamma``: a number)."""

GROUPS: Final = frozenset({"now", "next"})
"""Fields of ``t`` that hold named features."""

BUILTINS: Final = _words(
    "abs all any bool dict enumerate float int len list map max min range reversed round set sorted str sum "
    "tuple zip"
)
NUMPY: Final = _words(
    "abs absolute add all allclose any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin "
    "argsort around array array_equal asarray atleast_1d atleast_2d average bitwise_and bitwise_or bitwise_xor "
    "bool_ broadcast_to cbrt ceil clip column_stack concatenate copysign cos cosh count_nonzero cross cumprod "
    "cumsum deg2rad degrees diff digitize divide divmod dot e einsum equal exp exp2 expand_dims expm1 "
    "fabs flip float32 float64 float_power floor floor_divide fmax fmin fmod full full_like greater greater_equal "
    "heaviside hstack hypot inf inner int32 int64 interp invert isclose isfinite isin isinf isnan isneginf isposinf "
    "less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul "
    "max maximum mean median min minimum mod moveaxis multiply nan nan_to_num nanmax nanmean nanmin nansum "
    "ndim negative newaxis nonzero not_equal ones ones_like outer percentile pi positive power prod ptp quantile "
    "rad2deg radians ravel reciprocal remainder repeat reshape rint roll round searchsorted select sign signbit sin "
    "sinc sinh size sort split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan tanh "
    "tile transpose tril triu true_divide trunc uint8 unique var vstack where zeros zeros_like"
)
LINALG: Final = frozenset({"norm"})
MATH: Final = _words(
    "acos asin atan atan2 ceil copysign cos cosh degrees dist e exp expm1 fabs floor fmod hypot inf isclose isfinite "
    "isinf isnan log log10 log1p log2 pi radians sin sinh sqrt tan tanh tau trunc"
)
METHODS: Final = _words(
    "T all any append argmax argmin argsort astype clip copy cumsum dot dtype extend flatten get items keys max mean "
    "min ndim prod ravel repeat reshape round shape size squeeze std sum take tolist transpose update values "
    "var"
)
"""Attributes of anything that is not ``t``, ``np`` or ``math``: methods of arrays, lists and dictionaries."""
