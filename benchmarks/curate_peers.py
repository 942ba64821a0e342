"""What other packages need for a stage of curation: `python benchmarks/curate_peers.py PEER INPUT [ROUNDS]`.

INPUT is JSON Lines with `text`. It runs in the environment of the peer, which need not be ours, and prints one JSON
object: the CPU seconds of each round, after one that warms up, and the version; or what is missing. Peers:

- `gopher`: datatrove's GopherRepetitionFilter and, for what it leaves, its GopherQualityFilter, chained as pipelines are;
- `minhash`: datatrove's MinhashDedupSignature (5-grams, 14 x 8 hashes): shingles and signatures, nothing written;
- `rensa`: its RMinHash of 112 permutations over 5-grams of `str.split`, without lower case, with the digest.
"""

import json
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


PEERS = {"gopher": (gopher, "datatrove"), "minhash": (minhash, "datatrove"), "rensa": (rensa, "rensa")}


def main() -> None:
    """Work in rounds and print the seconds."""
    name, path, *rounds = sys.argv[1:]
    make, package = PEERS[name]
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    try:
        work = make()
        work(texts[:1])
    except ImportError as error:
        print(json.dumps({"package": package, "absent": f"absent ({str(error).strip().splitlines()[0]})"}))
        return
    spent = []
    for _ in range(1 + int(rounds[0] if rounds else 3)):
        begun = time.process_time()
        work(texts)
        spent.append(time.process_time() - begun)
    print(json.dumps({"package": f"{package} {version(package)}", "seconds": spent[1:]}))


if __name__ == "__main__":
    main()
