"""How often the site's language model answers from the demo's records: run it, read every line.

Ten questions whose answer stands in a record, three whose answer does not. An answer counts as
right when it holds the expected words; what an answer adds of its own is for the reader to see.
"""

from __future__ import annotations

import getpass
import tempfile
import time
from pathlib import Path

from memory_fabric import operations
from memory_fabric.demo.records import classes_of, story_records
from memory_fabric.wiring import create_home, open_home

KATRIN, EMRE, LIESELOTTE = "Katrin Vossberg", "Emre Tahiroğlu", "Lieselotte Amrhein"
QUESTIONS = [
    (KATRIN, "What is Katrin Vossberg allergic to?", "amoxicillin"),
    (KATRIN, "Why was Katrin Vossberg admitted in March?", "asthma"),
    (KATRIN, "When does Katrin Vossberg prefer appointments?", "before nine"),
    (KATRIN, "Where should letters to Katrin Vossberg go?", "katrin.vossberg@example.org"),
    (KATRIN, "Which taxi account is used for the transport of Katrin Vossberg?", "TX-40917"),
    (EMRE, "Which insulin pump does Emre Tahiroğlu have?", "MDT-7781"),
    (EMRE, "What language should staff speak with Emre Tahiroğlu?", "Turkish"),
    (EMRE, "When can Emre Tahiroğlu be reached on the mobile?", "six"),
    (LIESELOTTE, "How often does Lieselotte Amrhein have physiotherapy?", "twice a week"),
    (LIESELOTTE, "Who drives Lieselotte Amrhein to physiotherapy?", "Benedikt"),
    (KATRIN, "What is Katrin Vossberg's blood type?", None),
    (EMRE, "Which car does Emre Tahiroğlu drive?", None),
    (LIESELOTTE, "Where did Lieselotte Amrhein go to school?", None),
]


def main() -> None:
    """Ask everything and print what came."""
    who, supply = {"os_user": getpass.getuser()}, story_records()
    verdicts: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fra-1"
        create_home(path, site_id="fra-1", region="DE", tenants=["acme"])
        with open_home(path) as home:
            classes = classes_of(supply.drafts["fra-1"])
            operations.run(home, "classes_add", who, {"classes": classes})
            rows = [row.fields for row in supply.rows["fra-1"]]
            operations.run(home, "add_good", who, {"memories": rows})
            started = time.monotonic()
            for subject, question, expected in QUESTIONS:
                asked = {"question": question, "subject": subject, "purpose": "care"}
                answer = operations.run(home, "ask", who, asked)
                verdict = judged(answer["answer"], answer["known"], expected)
                verdicts.append(verdict)
                print(f"{verdict:12} {question}\n{'':12} {answer['answer']}")
            took = time.monotonic() - started
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    print(f"\n{counts}, {took / len(QUESTIONS):.1f} s a question")


def judged(answer: str, known: bool, expected: str | None) -> str:
    """Right, wrong, or not answered."""
    if not known:
        return "not answered" if expected else "right"
    return "right" if expected and expected.lower() in answer.lower() else "wrong"


if __name__ == "__main__":
    main()
