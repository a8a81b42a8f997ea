"""Libraries that keep data sets on S3, over http and TLS: pyarrow, s3fs, obstore, DuckDB."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_httpfs
import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
import s3fs
from obstore.store import S3Store
from pyarrow import fs

from tests.support.addresses import SCHEMES, Address, address_of
from tests.support.colony import Colony

MIB = 1 << 20
ROWS = 30_000


@pytest.fixture(params=SCHEMES)
def address(colony: Colony, request: pytest.FixtureRequest) -> Address:
    """The shared colony by path, over http and over TLS."""
    return address_of(colony, request.param)


@pytest.fixture
def bucket(address: Address) -> Iterator[str]:
    """A bucket of the test's own."""
    s3 = address.client()
    name = f"d-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for one in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=one["Key"])
    s3.delete_bucket(Bucket=name)


def rows() -> Any:
    """A table of a year to part it by, a number and a text."""
    numbers = range(ROWS)
    return pa.table(
        {
            "year": [2020 + number % 3 for number in numbers],
            "number": list(numbers),
            "text": [f"row {number}" for number in numbers],
        }
    )


def arrow_files(address: Address) -> Any:
    """pyarrow's own client of S3."""
    return fs.S3FileSystem(
        endpoint_override=address.host,
        scheme=address.scheme,
        access_key=address.access_key,
        secret_key=address.secret_key,
        region="us-east-1",
        tls_ca_file_path=address.certificate,
    )


def test_pyarrow_writes_a_parted_dataset_and_reads_a_part_of_it_back(address: Address, bucket: str) -> None:
    files = arrow_files(address)
    parts = ds.partitioning(pa.schema([("year", pa.int64())]), flavor="hive")
    ds.write_dataset(rows(), f"{bucket}/set", format="parquet", partitioning=parts, filesystem=files)
    found = ds.dataset(f"{bucket}/set", format="parquet", partitioning=parts, filesystem=files)
    assert found.count_rows() == ROWS
    chosen = (pc.field("year") == 2021) & (pc.field("number") < 100)
    read = found.to_table(filter=chosen, columns=["number"])
    assert sorted(read["number"].to_pylist()) == list(range(1, 100, 3))
    files.delete_dir(f"{bucket}/set")
    assert files.get_file_info(fs.FileSelector(bucket, recursive=True)) == []


def test_pyarrow_streams_a_large_file_in_parts_and_seeks_in_it(address: Address, bucket: str) -> None:
    files = arrow_files(address)
    with files.open_output_stream(f"{bucket}/large", metadata={"Content-Type": "x/y"}) as stream:
        for number in range(12):
            stream.write(bytes([number]) * MIB)
    assert files.get_file_info(f"{bucket}/large").size == 12 * MIB
    with files.open_input_file(f"{bucket}/large") as file:
        file.seek(7 * MIB - 1)
        assert file.read(2) == b"\x06\x07"
        assert file.metadata()["Content-Type"] == b"x/y"


def test_s3fs_keeps_files_as_a_file_system_would(address: Address, bucket: str, tmp_path: Path) -> None:
    files = s3fs.S3FileSystem(
        key=address.access_key,
        secret=address.secret_key,
        endpoint_url=address.url,
        client_kwargs={"region_name": "us-east-1", "verify": address.certificate},
        skip_instance_cache=True,
    )
    large = bytes(range(256)) * (24 * MIB // 1024)
    with files.open(f"{bucket}/a/large", "wb", block_size=5 * MIB) as file:
        file.write(large)
    with files.open(f"{bucket}/a/text +%.txt", "w") as file:
        file.write("ü")
    with files.open(f"{bucket}/a/large", "rb") as file:
        file.seek(5 * MIB)
        assert file.read(1000) == large[5 * MIB : 5 * MIB + 1000]
    files.copy(f"{bucket}/a", f"{bucket}/b", recursive=True)
    files.rm(f"{bucket}/a", recursive=True)
    assert sorted(files.find(bucket)) == [f"{bucket}/b/large", f"{bucket}/b/text +%.txt"]
    files.get(f"{bucket}/b/large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large
    files.rm(f"{bucket}/b", recursive=True)
    assert files.ls(bucket) == []


def test_obstore_replaces_only_what_it_has_read(
    address: Address, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", address.certificate)
    store = S3Store(
        bucket,
        endpoint=address.url,
        access_key_id=address.access_key,
        secret_access_key=address.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    large = bytes(range(256)) * (11 * MIB // 256)
    obstore.put(store, "a/large", large, chunk_size=5 * MIB, use_multipart=True)
    assert bytes(obstore.get_range(store, "a/large", start=6 * MIB, length=300)) == large[:300]
    first = obstore.put(store, "a/state", b"one", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "a/state", b"two", mode="create")
    obstore.put(store, "a/state", b"two", mode={"e_tag": first["e_tag"]})
    with pytest.raises(obstore.exceptions.PreconditionError):
        obstore.put(store, "a/state", b"three", mode={"e_tag": first["e_tag"]})
    obstore.copy(store, "a/state", "b/state")
    assert bytes(obstore.get(store, "b/state").bytes()) == b"two"
    listed = [item["path"] for page in obstore.list(store) for item in page]
    assert sorted(listed) == ["a/large", "a/state", "b/state"]
    obstore.delete(store, listed)
    assert [item for page in obstore.list(store) for item in page] == []


def test_duckdb_writes_parquet_and_asks_it_again(address: Address, bucket: str) -> None:
    extension = next(Path(str(duckdb_extension_httpfs.__file__)).parent.rglob("httpfs.duckdb_extension"))
    with duckdb.connect() as session:
        session.execute(f"LOAD '{extension}'")
        session.execute(f"SET ca_cert_file = '{address.certificate}'")
        session.execute("SET enable_server_cert_verification = true")
        session.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{address.access_key}', SECRET '{address.secret_key}', "
            f"ENDPOINT '{address.host}', URL_STYLE 'path', USE_SSL {address.scheme == 'https'})"
        )
        folder = f"s3://{bucket}/set"
        session.execute(
            f"COPY (SELECT i, i % 3 AS rest, 'row ' || i AS text FROM range({ROWS}) rows(i)) "
            f"TO '{folder}' (FORMAT parquet, PARTITION_BY (rest))"
        )
        asked = f"SELECT count(*), sum(i) FROM '{folder}/*/*.parquet' WHERE rest = 1"
        assert session.execute(asked).fetchone() == (ROWS // 3, sum(range(1, ROWS, 3)))
        listed = session.execute(f"SELECT count(*) FROM glob('{folder}/**')").fetchone()
        assert listed == (3,)
