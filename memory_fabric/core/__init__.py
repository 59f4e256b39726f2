"""The words of Memory Fabric: pure, typed, without IO and without third-party imports."""
