"""Which SQL writes."""

import pytest

from realtime.statements import writes


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO a VALUES (1)",
        " \n update a set b = 1",
        "DELETE FROM a",
        "REPLACE INTO a VALUES (1)",
        "/* why */ -- so\n MERGE INTO a",
        "TRUNCATE a",
        "COPY a FROM STDIN",
        "WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x",
        "WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x",
    ],
)
def test_writes(sql: str) -> None:
    assert writes(sql)


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1", "", "BEGIN IMMEDIATE", "SAVEPOINT x", "-- INSERT\nSELECT 1", "WITH x AS (SELECT 1) SELECT * FROM x"],
)
def test_does_not_write(sql: str) -> None:
    assert not writes(sql)
