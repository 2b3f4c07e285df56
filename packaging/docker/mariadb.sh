# shellcheck shell=bash
# Read by the first start of the official image, which brings docker_process_sql: the login of leased, which makes users and ends sessions, and what there is to see.
docker_process_sql --database=mysql <<SQL
CREATE USER leased@'%' IDENTIFIED BY '$(cat "${SECRETS:-/secrets}/leased-password")' REQUIRE SSL;
GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO leased@'%';
GRANT SELECT ON mysql.* TO leased@'%';
CREATE ROLE shop;
GRANT SELECT ON app.* TO shop;
GRANT shop TO leased@'%' WITH ADMIN OPTION;
CREATE TABLE app.orders (id int, item text);
INSERT INTO app.orders VALUES (1, 'tea'), (2, 'bread');
SQL
