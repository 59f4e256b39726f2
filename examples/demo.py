"""Tell the demo's story from a program of your own, and check it.

You learn how the demo is made: `tell` gives chapters, each says what it is about and is played;
what it comes to holds tables, expectations, and the product's own answers as JSON.

    python examples/demo.py
"""

import sys
import tempfile
from pathlib import Path

from memory_fabric.demo import own_temporary_directory, story_records, tell


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with own_temporary_directory(folder / "tmp"):
            outcomes = []
            for chapter in tell(folder, story_records()):
                outcome = chapter.play()
                outcomes.append(outcome)
                print(f"{chapter.title}: {outcome.summary.came}")
    broken = [check.expected for outcome in outcomes for check in outcome.checks if not check.held]
    print(*broken, sep="\n", end="")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
