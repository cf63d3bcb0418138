"""The type of arrays that are numpy's outside compiled code and JAX's inside."""

from typing import Any, TypeAlias

# The two have no common type that checkers know; the shapes stand in the docstrings.
Array: TypeAlias = Any
