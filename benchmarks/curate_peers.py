"""What other packages need for a stage of curation: `python benchmarks/curate_peers.py PEER INPUT ROUNDS`.

INPUT is JSON Lines with `text`. It runs in the environment of the peer, which need not be ours, and prints one JSON
object: the CPU seconds of each round, after one that warms up, and the version; or what is missing. Peers:

- `gopher`: datatrove's GopherRepetitionFilter and, for what that leaves, GopherQualityFilter, chained as in a pipeline;
- `minhash`: datatrove's MinhashDedupSignature (5-grams, 14 x 8 hashes): shingles and signatures, nothing written;
- `rensa`: its RMinHash of 112 permutations over 5-grams of `str.split`, without lower case, with the digest.

`deduplicate` takes the input through all four stages of datatrove's MinHash and prints which documents are kept.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version

Work = Callable[[list[str]], object]


def gopher() -> Work:
    """Both of Gopher's filters."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

    repetition, quality = GopherRepetitionFilter(), GopherQualityFilter()

    def work(texts: list[str]) -> int:
        documents = (Document(text=text, id=str(number)) for number, text in enumerate(texts))
        return sum(1 for _ in quality.run(repetition.run(documents)))

    return work


def minhash() -> Work:
    """The first stage of datatrove's MinHash."""
    from datatrove.pipeline.dedup import MinhashDedupSignature

    with tempfile.TemporaryDirectory() as folder:
        stage = MinhashDedupSignature(folder)

    def work(texts: list[str]) -> None:
        for text in texts:
            shingles = stage.get_shingles(text)
            if shingles.size:
                stage.get_signature(shingles)

    return work


def rensa() -> Work:
    """The signature of the fastest peer."""
    from rensa import RMinHash

    def work(texts: list[str]) -> None:
        for text in texts:
            words = text.split()
            sketch = RMinHash(num_perm=112, seed=42)
            sketch.update([" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))])
            sketch.digest()

    return work


def deduplicate(path: str) -> list[int]:
    """The numbers of the documents that datatrove's MinHash keeps."""
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup import MinhashDedupSignature as Signature
    from datatrove.pipeline.readers import JsonlReader

    folder, name = os.path.split(path)
    with tempfile.TemporaryDirectory() as scratch:
        signatures, buckets, removed = (f"{scratch}/{one}" for one in ("signatures", "buckets", "removed"))
        Signature(signatures).run(JsonlReader(folder, glob_pattern=name).run())
        for bucket in range(14):
            MinhashDedupBuckets(signatures, buckets).run(None, bucket, 14)
        MinhashDedupCluster(buckets, removed).run(None)
        kept = MinhashDedupFilter(removed).run(JsonlReader(folder, glob_pattern=name).run())
        return [int(document.id) for document in kept]


PEERS = {"gopher": (gopher, "datatrove"), "minhash": (minhash, "datatrove"), "rensa": (rensa, "rensa")}


def main() -> None:
    """Print what a peer does or needs, or what is missing for it."""
    name, path, *rounds = sys.argv[1:]
    try:
        found = {"kept": deduplicate(path)} if name == "deduplicate" else timed(name, path, int(rounds[0]))
    except ImportError as error:
        found = {"absent": str(error).strip().splitlines()[0]}
    print(json.dumps(found))


def timed(name: str, path: str, rounds: int) -> dict[str, object]:
    """The CPU seconds of each round."""
    make, package = PEERS[name]
    work = make()
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    spent = []
    for _ in range(1 + rounds):
        begun = time.process_time()
        work(texts)
        spent.append(time.process_time() - begun)
    return {"package": f"{package} {version(package)}", "seconds": spent[1:]}


if __name__ == "__main__":
    main()
