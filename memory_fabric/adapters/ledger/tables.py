"""The ledger's tables. None holds memory text, query text or a subject's name."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, Text
from sqlmodel import Field, SQLModel

SCHEMA_VERSION = 2
"""Of the tables as they stand here, and of the sealed records that they account for."""

# In SQLite only a plain INTEGER key is the row's own place in the file.
_Big = BigInteger().with_variant(Integer(), "sqlite")


class MetaRow(SQLModel, table=True):
    """Whose ledger this is; one row."""

    __tablename__ = "meta"

    site_id: str = Field(sa_type=Text, primary_key=True)
    schema_version: int


class ReceiptRow(SQLModel, table=True):
    """One receipt: ``body`` is canonical JSON, the other columns repeat parts of it."""

    __tablename__ = "receipt"

    leaf: int = Field(primary_key=True, sa_type=_Big, sa_column_kwargs={"autoincrement": False})
    id: str = Field(sa_type=Text, unique=True)
    body: str = Field(sa_type=Text)
    leaf_hash: bytes
    act: str = Field(sa_type=Text)
    outcome: str = Field(sa_type=Text)
    at: str = Field(sa_type=Text)


class KindRow(SQLModel, table=True):
    """What receipts of one kind are known by: ``marks`` is a JSON array of pairs."""

    __tablename__ = "receipt_kind"

    kind: int = Field(primary_key=True, sa_type=_Big, sa_column_kwargs={"autoincrement": False})
    marks: str = Field(sa_type=Text, unique=True)


class EntryRow(SQLModel, table=True):
    """One receipt's entry in the index. Narrow: a search reads very many of them, and no body."""

    __tablename__ = "receipt_entry"

    leaf: int = Field(primary_key=True, sa_type=_Big, sa_column_kwargs={"autoincrement": False})
    kind: int = Field(sa_type=_Big, index=True)
    at: int = Field(sa_type=_Big)


class CheckpointRow(SQLModel, table=True):
    """The newest checkpoint; one row. Older roots follow from the leaves."""

    __tablename__ = "checkpoint"

    size: int = Field(primary_key=True, sa_type=_Big, sa_column_kwargs={"autoincrement": False})
    root: bytes
    signature: bytes
    stack_version: int = Field(sa_type=_Big)


class CatalogRow(SQLModel, table=True):
    """One version of one sealed record, and the leaves of the receipts that account for it."""

    __tablename__ = "catalog"

    rid: bytes = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_type=_Big)
    digest: bytes
    written_at: int = Field(sa_type=_Big)
    removed_at: int | None = Field(default=None, sa_type=_Big)


class AppRow(SQLModel, table=True):
    """One API key's record, signed by the site so that no grant can be added in the file."""

    __tablename__ = "app"

    name: str = Field(sa_type=Text, primary_key=True)
    key_id: str = Field(sa_type=Text, unique=True)
    body: str = Field(sa_type=Text)
    signature: bytes


class LeaseRow(SQLModel, table=True):
    """One lease in its newest state, given or taken, signed by the site."""

    __tablename__ = "lease"

    number: int | None = Field(default=None, primary_key=True, sa_type=_Big)
    id: str = Field(sa_type=Text, unique=True)
    origin: str = Field(sa_type=Text, index=True)
    destination: str = Field(sa_type=Text, index=True)
    body: str = Field(sa_type=Text)
    signature: bytes


TABLES = META, RECEIPT, CHECKPOINT, CATALOG, APP, LEASE, KIND, ENTRY = tuple(
    SQLModel.metadata.tables[name]
    for name in (
        "meta", "receipt", "checkpoint", "catalog", "app", "lease", "receipt_kind", "receipt_entry",
    )
)  # fmt: skip
"""The same tables as queries name them."""
LATER = (LEASE, KIND, ENTRY)
"""Those that a ledger of an older version may lack."""
