"""``policy matrix``: for every label class and destination, the most that may be released."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric import wiring
from memory_fabric.cli.policy.folder import Directory
from memory_fabric.cli.session import Session, session
from memory_fabric.core.errors import InputError

_PAGE = 50
"""Rows decided at once: a second or two under a large bundle, so that a bar moves."""

Page = Callable[[int, int], dict[str, Any]]
"""Some rows of a matrix, from an offset."""


def matrix(
    context: typer.Context,
    directory: Directory = None,
    act: Annotated[str, typer.Option(help="recall, export or query.")] = "recall",
    purpose: Annotated[list[str] | None, typer.Option(help="Of all purposes, this one.")] = None,
    from_: Annotated[
        list[str] | None, typer.Option("--from", help="Plain files: home region of the data.")
    ] = None,
    to: Annotated[
        list[str] | None, typer.Option(help="Plain files: region of a receiving site.")
    ] = None,
    csv: Annotated[str | None, typer.Option(help="Write a CSV file; - for the output.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a heat map as SVG.")] = None,
) -> None:
    """The most that may be released: for each class and site that this home knows, or with a
    folder, for the classes of a new site and a plain site in each region of the register.
    """
    run = session(context)
    if picture and picture.suffix.lower() != ".svg":
        raise InputError("picture-kind", "The picture is an SVG.", "Name a file that ends in .svg.")
    with _pages(run, directory, act, purpose or [], from_ or [], to or []) as page:
        told, whole = _collect(run, page)
    if not whole:
        done, all_of_them = len(told["rows"]), told["classes"]
        run.output.note(f"Interrupted: {done:,} of {all_of_them:,} classes are decided.")
    told["complete"] = whole
    if csv:
        _write(csv, _table(told))
    if picture:
        from memory_fabric.operations.heatmap import picture as drawn

        _write(str(picture), drawn(told, f"The most that may be released ({told['act']})"))
    if run.output.as_json:
        run.output.json(told)
    elif csv != "-":
        _show(run, told)
    if not whole:
        raise typer.Exit(1)


@contextmanager
def _pages(
    run: Session, directory: Path | None, act: str, purposes: list[str], homes: list[str],
    to: list[str],
) -> Iterator[Page]:  # fmt: skip
    if directory is not None:
        yield wiring.PlainPolicies(directory).matrix_of(act, homes, purposes, to).page
        return
    if homes or to or len(purposes) > 1:
        raise InputError(
            "option-needs-folder",
            "--from, --to and several purposes go with a folder of plain files.",
            "Name the folder, or leave them out: a home asks about its own classes and sites.",
        )
    with run.calls(load=False) as call:
        one = purposes[0] if purposes else None
        yield lambda offset, limit: call(
            "policy_matrix", act=act, purpose=one, offset=offset, limit=limit
        )


def _collect(run: Session, page: Page) -> tuple[dict[str, Any], bool]:
    """All rows, and whether these are all; an interruption leaves those decided so far."""
    told = page(0, _PAGE)
    with run.output.progress("Deciding") as bar:
        try:
            while len(told["rows"]) < told["classes"]:
                bar.step(len(told["rows"]), told["classes"])
                told["rows"] += page(len(told["rows"]), _PAGE)["rows"]
        except KeyboardInterrupt:
            return told, False
    return told, True


def _table(told: Mapping[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["home", "data_class", "personal", "special", "consent", "purpose", "site", "region",
         "memberships", "form", "rules"]
    )  # fmt: skip
    for row in told["rows"]:
        label = row["class"]
        for site, cell in zip(told["sites"], row["cells"], strict=True):
            writer.writerow(
                [label["home"], label["data_class"], str(label["personal"]).lower(),
                 " ".join(label["special"]), label["consent"], row["purpose"], site["site"],
                 site["region"], " ".join(site["memberships"]), cell["form"] or "nothing",
                 " ".join(cell["rules"])]
            )  # fmt: skip
    return text.getvalue()


def _write(where: str, text: str) -> None:
    if where == "-":
        sys.stdout.write(text)
        return
    try:
        Path(where).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            "file-unwritable", f"{where} cannot be written ({error.strerror}).", "Name another."
        ) from error


# ---- For people --------------------------------------------------------------------------


def _show(run: Session, told: Mapping[str, Any]) -> None:
    """A table for each home and purpose; what is answered alike stands together."""
    from memory_fabric.operations.heatmap import FORMS, alike, grouped

    labels = [site["label"] for site in told["sites"]]
    if not labels:
        run.output.say("This site knows no other one of this tenant, so nothing crosses a border.")
        return
    for block in grouped(told):
        sites = alike([[group.cells[n]["form"] for group in block] for n in range(len(labels))])
        rows = [
            (group.classes, *(FORMS[group.cells[n]["form"] or "nothing"][0] for n, *_ in sites))
            for group in block
        ]
        names = [_shortened([labels[n] for n in same]) for same in sites]
        purposes = ", ".join(block[0].purposes)
        title = f"From {block[0].home}, for {purposes}: {told['act']}"
        run.output.table(title, ("class", *names), rows)


def _shortened(labels: list[str]) -> str:
    shown = labels if len(labels) <= 6 else [*labels[:5], f"{len(labels) - 5} more"]
    return ", ".join(shown)
