"""Memory Fabric: federated memory that asks the law before it travels."""

__version__ = "0.1.0"
