"""The HTTP face of a site: an API for apps over TCP, and the local socket of a served home."""

from memory_fabric_api.app import create_app
from memory_fabric_api.server import Listening, serve

__all__ = ["Listening", "create_app", "serve"]
