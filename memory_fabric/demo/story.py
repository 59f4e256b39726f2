"""The story: its chapters in order, each with what a user would type for the same."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from memory_fabric.demo import answers, leases, proofs, scenes
from memory_fabric.demo.grid import ADEQUATE, BLOC, HOME, PLACES, UNSAFE, Grid
from memory_fabric.demo.records import Supply
from memory_fabric.demo.report import Chapter, Outcome


@contextmanager
def own_temporary_directory(folder: Path) -> Iterator[None]:
    """Let whatever this process writes to a temporary directory land in a folder of the demo's.

    So the byte scan reads it, and nothing that others left in the shared one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    before, before_python = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before_python
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


def tell(folder: Path, supply: Supply) -> list[Chapter]:
    """The chapters, to be played in order in one folder, under ``own_temporary_directory``."""
    grid, watch = Grid(folder), proofs.Watch(supply)
    play = {
        name: partial(scene, grid, supply)
        for name, scene in {
            "remember": scenes.remember, "at_home": scenes.at_home, "in_bloc": scenes.in_bloc,
            "adequate": scenes.adequate, "unsafe": scenes.unsafe, "health": scenes.health,
            "export": leases.export, "use": leases.use,
            "withdraw": proofs.withdraw, "erase": proofs.erase, "prove": proofs.prove,
        }.items()
    }  # fmt: skip

    def found() -> Outcome:
        outcome = scenes.found_grid(grid)
        watch.prepare(grid)
        return outcome

    person = f'--subject "{supply.person}"'
    ask = f'recall "{supply.question}" {person} --reach grid --purpose'
    return [
        Chapter(
            "Four sites under three bodies of law",
            "Each site has its own memories, keys, rules and log; a signed roster lists them all.",
            (
                *(
                    _at(p.site, f"site init --site {p.site} --region {p.region} --tenant acme")
                    for p in PLACES
                ),
                *(_at(HOME, f"site link {p.site}") for p in PLACES[1:]),
            ),
            found,
        ),
        Chapter(
            "Each site remembers",
            "Text, names, labels and vectors are sealed before they touch the disk; "
            "the home region is set by the site.",
            (_at(HOME, "remember --from records.jsonl"),),
            play["remember"],
        ),
        Chapter(
            "Recall at home",
            "At home data serves its purposes in full, for no transfer takes place.",
            (_at(HOME, f'recall "{supply.question}" {person} --purpose {supply.care}'),),
            play["at_home"],
        ),
        Chapter(
            "Within the bloc",
            "France and Germany lie in the EEA, where personal data moves freely, health included.",
            (_at(BLOC, f"{ask} {supply.care}"),),
            play["in_bloc"],
        ),
        Chapter(
            "To an adequate country",
            "The EU found the United Kingdom adequate; these rules still mask names and numbers, "
            "for the insurer does not need them.",
            (_at(ADEQUATE, f"{ask} {supply.support}"),),
            play["adequate"],
        ),
        Chapter(
            "To a country without safeguards",
            "Virginia has neither adequacy nor contract clauses: it is refused, with the reason, "
            "and the refusal does not tell whether there was anything.",
            (_at(UNSAFE, f"{ask} {supply.support}"),),
            play["unsafe"],
        ),
        Chapter(
            "Health data is held back",
            "London asks again, now for care: what concerns health stays where it is.",
            (_at(ADEQUATE, f"{ask} care"),),
            play["health"],
        ),
        answers.chapter(grid, supply),
        Chapter(
            "Embeddings leave on a lease",
            "London and Virginia get what policy lets go there and nothing else: signed, sealed "
            "to the receiver, and for a day. About people, London gets vectors of masked text.",
            tuple(
                command
                for site in (ADEQUATE, UNSAFE)
                for file in [leases.file_for(Path(), site, supply.support)]
                for command in (
                    _at(HOME, f"export run --to {site} --purpose {supply.support} --file {file}"),
                    _at(site, f"export take {file}"),
                )
            ),
            play["export"],
        ),
        Chapter(
            "Found on a lease, fetched by permit",
            "London searches what it has on a lease: the question stays in London, and Frankfurt "
            "decides anew on each text that is fetched.",
            (
                _at(
                    ADEQUATE,
                    f'recall "{supply.question}" --all-subjects --purpose {supply.care} '
                    "--reach region",
                ),
            ),
            play["use"],
        ),
        Chapter(
            "Consent is withdrawn",
            "A withdrawn consent counts at once and everywhere, at home too; what was leased out "
            "comes back, with the importer's receipt.",
            (_at(HOME, f'label set --subject "{supply.other}" --consent withdrawn'),),
            play["withdraw"],
        ),
        Chapter(
            "A person is erased",
            "Keys are destroyed, bytes removed, and receipts stay. Frankfurt tells the others; "
            "Virginia forgets by itself, for not even the name may travel there.",
            (_at(HOME, f"forget {person}"), _at(UNSAFE, f"forget {person}")),
            play["erase"],
        ),
        Chapter(
            "Prove it",
            "Every decision left a receipt in a signed Merkle log; any change to it exits with 5.",
            (_at(HOME, "site verify"), _at(HOME, "receipts verify")),
            play["prove"],
        ),
        Chapter(
            "Look for plaintext",
            "What was remembered is searched for in every byte of the homes and the temporary "
            "directory.",
            (),
            partial(watch.look, grid),
        ),
    ]


def _at(site: str, command: str) -> str:
    return f"memory-fabric --home {site} {command}"
