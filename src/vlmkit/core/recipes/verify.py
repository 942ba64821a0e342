"""Re-checking an artifact and everything that it was made from."""

from pathlib import Path

from vlmkit.core.configs.verify import VerifyConfig
from vlmkit.core.io.artifacts import around, identify
from vlmkit.core.io.job import Result
from vlmkit.core.io.manifest import Input, Manifest, faults, read_manifest
from vlmkit.core.io.progress import progress


def run(config: VerifyConfig) -> Result:
    """Check every file of the artifact, then every input that is an artifact itself, and so on upwards."""
    rows: list[dict[str, object]] = []
    chain: list[dict[str, object]] = []
    seen: set[Path] = set()
    waiting = [(config.folder, read_manifest(config.folder))]
    while waiting:
        folder, manifest = waiting.pop()
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        progress("artifacts checked", len(seen))
        rows += [{"artifact": str(folder), "file": path, "what": what} for path, what in faults(folder, manifest)]
        for item in manifest.inputs:
            state, upwards = follow(item)
            chain.append({"artifact": str(folder), "input": item.path, "kind": item.kind, "state": state})
            if state == "changed":
                rows.append({"artifact": str(folder), "file": item.path, "what": "has changed since it was used"})
            waiting += upwards
    files = [output for folder in seen for output in read_manifest(folder).outputs]
    values: dict[str, object] = {
        "artifacts": len(seen), "files": len(files), "bytes": sum(output.bytes for output in files),
        "intact": not rows, "faults": rows, "chain": chain,
    }  # fmt: skip
    return Result(values, ok=not rows)


def follow(item: Input) -> tuple[str, list[tuple[Path, Manifest]]]:
    """How an input stands today (same, changed, absent), and the artifact around it if there is one."""
    path = Path(item.path)
    if not path.exists():
        return "absent", []
    found = around(path)
    state = "same" if identify(path)[1] == item.content_digest else "changed"
    return state, [found] if found else []
