"""Write the corpus: `python -m tests.corpus.make`. Every message is of our own making; the expected readings too."""

from __future__ import annotations

import json
from pathlib import Path

from tests.corpus.making import bodies, charsets, clients, containers, heads, notices, structure, texts
from tests.corpus.making.letter import Case

FOLDER = Path(__file__).parent / "messages"


def all_cases() -> dict[str, Case]:
    kinds = (texts, structure, containers, clients, heads, charsets, notices, bodies)
    return {name: case for kind in kinds for name, case in kind.cases.found.items()}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name, (raw, expected) in all_cases().items():
        (FOLDER / f"{name}.eml").write_bytes(raw)
        (FOLDER / f"{name}.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
