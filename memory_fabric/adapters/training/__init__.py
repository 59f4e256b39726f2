"""Training: adapters of a base model, in a worker process of the site's own."""

from memory_fabric.adapters.training.base import DEFAULT_MODEL, TINY_MODEL
from memory_fabric.adapters.training.trainer import WorkerTrainer

__all__ = ["DEFAULT_MODEL", "TINY_MODEL", "WorkerTrainer"]
