"""The demo: four sites under three bodies of law, made, asked and proved on this machine.

It uses the product as anybody could: homes by ``wiring``, everything else by ``operations``.
"""

from memory_fabric.demo.grid import HOME
from memory_fabric.demo.records import Supply, own_records, story_records
from memory_fabric.demo.report import Chapter, Check, Outcome, Summary, Table
from memory_fabric.demo.story import own_temporary_directory, tell

__all__ = [
    "HOME",
    "Chapter",
    "Check",
    "Outcome",
    "Summary",
    "Supply",
    "Table",
    "own_records",
    "own_temporary_directory",
    "story_records",
    "tell",
]
