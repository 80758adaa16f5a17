"""What is MySQL's own and not MariaDB's: how it signs users in, what it calls itself, its words for what it has."""

from contextlib import closing

import pytest

from tests.support.mariadb import MariaDatabase
from tests.support.scripted_mysql import scripted_mysql
from transforms.errors import JobError
from transforms.secrets import parse_secret
from transforms.sql.database import Part, Selection
from transforms.sql.mysql.database import MysqlTable

PASSWORD = "hunter2-is-secret"
ANSWERS = {
    "SELECT table_name, table_type, engine, table_rows FROM .*": [["orders", "BASE TABLE", "InnoDB", 2]],
    r"SELECT column_name, data_type, .* FROM information_schema.columns .*": [
        ["id", "bigint", "bigint unsigned", 20, 0, 1],
        ["paid", "tinyint", "tinyint(1)", 3, 0, 1],
        ["more", "json", "json", 0, 0, 1],
        ["place", "point", "point", 0, 0, 1],
        ["at", "timestamp", "timestamp(6)", 0, 0, 1],
    ],
    "SELECT column_name, srs_id FROM information_schema.columns .*": [["place", 4326]],
    "SELECT index_name, column_name, .*": [["PRIMARY", "id", 1]],
    "SELECT UTC_TIMESTAMP.*": [["2026-01-31 10:00:00.500000"]],
    "SELECT COUNT.*": [[1]],
    "SELECT `id`, .*": [["18446744073709551615", "1", '{"a": 1.5}', "POINT(13.25 52.5)", "2026-01-31 10:00:00.000001"]],
}


@pytest.fixture
def mysql():
    with scripted_mysql("8.4.3", PASSWORD, ANSWERS) as script:
        yield script


def table(script, source: str = "env:SHOP_PASSWORD") -> MysqlTable:
    location = f"mysql://app@127.0.0.1:{script.port}/shop/orders"
    return MysqlTable.parse(location, "--source", parse_secret(source, "--source_password") if source else None, 0)


def test_mysql_signs_in_with_caching_sha2_password_and_is_asked_in_its_own_words(mysql, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    orders = table(mysql)
    declared = orders.describe("--source")
    assert [(column.name, column.type) for column in declared.columns] == [
        ("id", "NUMERIC"),
        ("paid", "INT64"),
        ("more", "JSON"),
        ("place", "GEOGRAPHY"),
        ("at", "TIMESTAMP"),
    ]
    assert (declared.key, declared.kind, declared.is_ordered) == (("id",), "innodb", True)
    (chunk,) = orders.read(Selection(declared, ("id",)), Part(0), None)
    assert chunk.read_time.isoformat() == "2026-01-31T10:00:00.500000+00:00"
    assert chunk.rows == [ANSWERS["SELECT `id`, .*"][0]]
    asked = "\n".join(mysql.asked)
    assert "SET SESSION max_execution_time = 0" in asked
    assert "ST_AsText(`place`, 'axis-order=long-lat')" in asked
    assert "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY" in asked
    assert not any(word in asked for word in ("max_statement_time", "check_constraints", "tx_isolation", PASSWORD))


def test_a_wrong_password_is_said_in_one_line_that_does_not_show_it(mysql, monkeypatch):
    monkeypatch.setenv("MYSQL_PWD", "wrong-is-secret")
    with pytest.raises(JobError, match=r"check user and password \(MYSQL_PWD, --source_password\)") as error:
        table(mysql, "").describe("--source")
    assert "is-secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", ["5.7.44-log", "10.5.23-MariaDB", "5.5.5-10.3.39-MariaDB-log"])
def test_a_server_that_is_too_old_is_refused(version, monkeypatch):
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    with scripted_mysql(version, PASSWORD, {}) as script:
        with pytest.raises(JobError, match=f"the server is {version}; MySQL 8.0 and MariaDB 10.6 are the oldest"):
            table(script, "").target.connect()


@pytest.mark.parametrize("version", ["8.0.40", "9.1.0", "5.5.5-10.6.20-MariaDB-log", "11.8.2-MariaDB-ubu2404"])
def test_a_server_that_is_new_enough_is_read(version, monkeypatch):
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    with scripted_mysql(version, PASSWORD, {}) as script:
        table(script, "").target.connect().close()
    assert any("max_statement_time" in statement for statement in script.asked) == ("MariaDB" in version)


# --- TLS ---------------------------------------------------------------------------------------------------------


def test_a_server_s_certificate_is_checked_where_the_location_says_so(mariadb):
    def connect(host: str, options: str) -> None:
        location = f"mysql://root@{host}:{mariadb.port}/{mariadb.name}/orders?{options}"
        MysqlTable.parse(location, "--source", None, 0).target.connect(is_known=False).close()

    checked = f"ssl_ca={mariadb.certificate}&ssl_verify_identity=true"
    connect("127.0.0.1", checked)
    connect("127.0.0.1", "")
    for host, options in (("localhost", checked), ("127.0.0.1", "ssl_verify_cert=true")):
        with pytest.raises(JobError, match="check ssl_ca, and that the host is the one that the certificate names"):
            connect(host, options)


def test_a_server_without_tls_is_refused_where_the_location_wants_it(mysql, monkeypatch):
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    location = f"mysql://app@127.0.0.1:{mysql.port}/shop/orders?ssl_verify_cert=true"
    with pytest.raises(JobError, match="leave the ssl options out, or switch TLS on in the server"):
        MysqlTable.parse(location, "--source", None, 0).target.connect()


# --- what goes wrong while connecting, at a real server ----------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("mysql://root@127.0.0.1:1/shop/orders", "check host and port, and that the server runs"),
        ("mysql://root@no-such-host.invalid/shop/orders", "check the host"),
        ("mysql://root@%2Fno%2Fsuch%2Fsocket/shop/orders", "check the path of the socket, and that the server runs"),
        ("mysql://root@127.0.0.1:PORT/shoop/orders?ssl_disabled=true", "check the name of the database"),
        ("mysql://nobody@127.0.0.1:PORT/shop/orders?ssl_disabled=true", "check user and password"),
        ("mysql://root@127.0.0.1:PORT/shop/orders?ssl_ca=/no/such/file", "check ssl_ca, ssl_cert, ssl_key"),
    ],
)
def test_a_server_that_cannot_be_reached_is_said_in_one_line(mariadb, location, said):
    target = MysqlTable.parse(location.replace("PORT", str(mariadb.port)), "--source", None, 0).target
    with pytest.raises(JobError) as error:
        target.connect(is_known=False)
    assert said in str(error.value)
    assert str(error.value).startswith(target.label)


def test_nothing_can_be_written_by_a_connection(mariadb: MariaDatabase):
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with closing(mariadb.table("t").target.connect()) as connection, connection.cursor() as cursor:
        with pytest.raises(Exception, match="READ ONLY transaction"):
            cursor.execute("INSERT INTO t VALUES (1)")
