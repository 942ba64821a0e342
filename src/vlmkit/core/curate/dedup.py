"""Which documents repeat an earlier one: exactly, or nearly by MinHash with every match verified.

Documents are numbered in their order; the first of several equal or near-equal ones is kept. Pairs that share a band
are compared by their true Jaccard similarity, and only verified pairs are joined into clusters, so no document is
removed on the word of a hash. In a cluster beyond `GIANT` documents a chain of small steps may have led far away;
there only documents with a verified match among the kept ones are removed.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from vlmkit.core.curate.minhash import jaccard

ALL_PAIRS = 32  # members of a band's group up to which every pair is compared; beyond it, each with the group's leaders
MAX_LEADERS = 64
GIANT = 1000


@dataclass
class Matches:
    """What each document matches: the number of another one or -1, and their true similarity; and the highest one that
    it was found to have with an earlier document."""

    match: np.ndarray
    similarity: np.ndarray
    highest: np.ndarray
    clusters: list[int] = field(default_factory=list)  # sizes above one, the largest first
    uncompared: int = 0  # documents of crowded groups that were not compared with all others


def text_digest(text: str) -> bytes:
    """Sixteen bytes that two texts share when they differ in white space or Unicode normal form alone."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def exact_matches(digests: np.ndarray) -> np.ndarray:
    """For each digest, rows of uint64 (N, 2), the number of the first equal one, or -1 for the first itself."""
    _, first, inverse = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    leader = first[inverse.reshape(-1)]
    return np.where(leader == np.arange(len(digests)), -1, leader)


def groups_of(column: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Groups of two or more of `rows` whose values of one band agree; each in order."""
    values = column[rows]
    order = np.argsort(values, kind="stable")
    edges = np.flatnonzero(np.diff(values[order])) + 1
    for group in np.split(order, edges):
        if len(group) > 1:
            yield rows[group]


def candidates(columns: Iterable[np.ndarray], rows: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Pairs (P, 2) to compare, in order and once each, and the groups too large for all their pairs."""
    pairs, crowds = [np.empty((0, 2), dtype=np.int64)], {}
    for column in columns:
        for group in groups_of(column, rows):
            if len(group) <= ALL_PAIRS:
                i, j = np.triu_indices(len(group), 1)
                pairs.append(np.stack([group[i], group[j]], axis=1))
            else:
                crowds[group.tobytes()] = group
    return np.unique(np.concatenate(pairs), axis=0), sorted(crowds.values(), key=lambda group: group.tolist())


def near_matches(
    pairs: np.ndarray,
    crowds: list[np.ndarray],
    *,
    count: int,
    threshold: float,
    shingles_of: Callable[[int], np.ndarray],
) -> Matches:
    """Verify candidates and join those whose true similarity is at least `threshold`.

    Pairs come sorted, so the first document of a cluster is compared with all its candidates before any other: a
    removed document is matched with the kept one wherever the two are near enough themselves.
    """
    found = Matches(np.full(count, -1), np.zeros(count), np.zeros(count))
    clusters = _Clusters()

    def verify(i: int, j: int) -> bool:
        if clusters.root(i) == clusters.root(j):
            return True
        similarity = jaccard(shingles_of(i), shingles_of(j))
        found.highest[max(i, j)] = max(found.highest[max(i, j)], similarity)
        if similarity >= threshold:
            clusters.join(i, j, similarity)
        return similarity >= threshold

    for i, j in pairs.tolist():
        verify(i, j)
    for crowd in crowds:
        left = crowd.tolist()
        for _ in range(MAX_LEADERS):
            if len(left) < 2:
                break
            left = [one for one in left[1:] if not verify(left[0], one)]
        found.uncompared += len(left) if len(left) > 1 else 0
    for members in clusters.groups():
        found.clusters.append(len(members))
        _mark(found, members, clusters.edges)
    found.clusters.sort(reverse=True)
    return found


def _mark(found: Matches, members: list[int], edges: dict[int, dict[int, float]]) -> None:
    """Match every member but the first with a verified partner: a kept one if there is one, else the nearest."""
    kept = {members[0]}
    for one in members[1:]:
        direct = {other: s for other, s in edges[one].items() if other in kept}
        if not direct and len(members) > GIANT:
            kept.add(one)
            continue
        partner, similarity = min((direct or edges[one]).items(), key=lambda edge: (-edge[1], edge[0]))
        found.match[one], found.similarity[one] = partner, similarity


class _Clusters:
    """Sets of documents joined by verified pairs (union-find), and the pairs that joined them."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}
        self.edges: dict[int, dict[int, float]] = {}

    def root(self, one: int) -> int:
        """The first document of the set that `one` is in."""
        top = one
        while (above := self.parent.get(top, top)) != top:
            top = above
        while (above := self.parent.get(one, one)) != top:
            self.parent[one], one = top, above
        return top

    def join(self, i: int, j: int, similarity: float) -> None:
        """Put two documents into one set."""
        a, b = sorted((self.root(i), self.root(j)))
        self.parent[b] = a
        self.edges.setdefault(i, {})[j] = similarity
        self.edges.setdefault(j, {})[i] = similarity

    def groups(self) -> list[list[int]]:
        """Members of each set in order."""
        sets: dict[int, list[int]] = {}
        for one in sorted(self.edges):
            sets.setdefault(self.root(one), []).append(one)
        return list(sets.values())
