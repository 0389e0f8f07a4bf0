"""Which intervals hold a value: a tree that costs the logarithm of how many there are, and what is found.

A treap: ordered by lower bounds like any search tree, balanced by random priorities, and each node knows the furthest
upper bound below it, so whole branches that end before the value are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import random
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# A bound is a value and its place beside it: an interval that excludes its lower bound begins behind it (1), one that
# excludes its upper bound ends before it (-1).
Bound = tuple[Any, int]


class _Node(Generic[T]):
    __slots__ = ("far", "high", "item", "key", "left", "low", "priority", "right")

    def __init__(self, low: Bound, high: Bound, serial: int, item: T) -> None:
        self.low = low
        self.key = (low, serial)
        self.high = self.far = high
        self.item = item
        self.priority = random()
        self.left: _Node[T] | None = None
        self.right: _Node[T] | None = None

    def look(self) -> _Node[T]:
        """Know the furthest end again, after a branch has changed."""
        far = self.high
        if self.left is not None and self.left.far > far:
            far = self.left.far
        if self.right is not None and self.right.far > far:
            far = self.right.far
        self.far = far
        return self


class Intervals(Generic[T]):
    """Items must be hashable, and each is in here once."""

    def __init__(self) -> None:
        self._root: _Node[T] | None = None
        self._keys: dict[T, tuple[Bound, int]] = {}
        self._serial = 0

    def __bool__(self) -> bool:
        return bool(self._keys)

    def add(self, low: Bound, high: Bound, item: T) -> None:
        self._serial += 1
        node = _Node(low, high, self._serial, item)
        self._keys[item] = node.key
        before, behind = _split(self._root, node.key)
        self._root = _merged(_merged(before, node), behind)

    def discard(self, item: T) -> None:
        key = self._keys.pop(item, None)
        if key is not None:
            self._root = _without(self._root, key)

    def at(self, value: Any) -> Iterator[T]:
        """The items whose intervals hold the value."""
        here = (value, 0)
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            if node is None or node.far < here:
                continue
            waiting.append(node.left)
            if node.low <= here:
                waiting.append(node.right)
                if here <= node.high:
                    yield node.item


def _split(node: _Node[T] | None, key: tuple[Bound, int]) -> tuple[_Node[T] | None, _Node[T] | None]:
    """What lies before the key, and what behind it."""
    if node is None:
        return None, None
    if node.key < key:
        node.right, behind = _split(node.right, key)
        return node.look(), behind
    before, node.left = _split(node.left, key)
    return before, node.look()


def _merged(one: _Node[T] | None, other: _Node[T] | None) -> _Node[T] | None:
    """All of `one` lies before all of `other`."""
    if one is None or other is None:
        return one or other
    if one.priority > other.priority:
        one.right = _merged(one.right, other)
        return one.look()
    other.left = _merged(one, other.left)
    return other.look()


def _without(node: _Node[T] | None, key: tuple[Bound, int]) -> _Node[T] | None:
    if node is None or node.key == key:
        return None if node is None else _merged(node.left, node.right)
    if key < node.key:
        node.left = _without(node.left, key)
    else:
        node.right = _without(node.right, key)
    return node.look()
