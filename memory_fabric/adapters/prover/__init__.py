"""Proofs about a bundle with z3: its rules as formulas, properties, differences, doubts."""
