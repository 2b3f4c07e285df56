# shellcheck shell=bash
# Read by the first start of the official image: the login of leased, which makes roles and ends sessions and is no superuser, and what there is to see.
psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
\set password \`cat ${SECRETS:-/secrets}/leased-password\`
CREATE ROLE leased LOGIN CREATEROLE PASSWORD :'password';
GRANT pg_signal_backend TO leased;
CREATE ROLE app NOLOGIN;
GRANT app TO leased WITH ADMIN OPTION;
CREATE TABLE orders (id int, item text);
INSERT INTO orders VALUES (1, 'tea'), (2, 'bread');
GRANT SELECT ON orders TO app;
SQL
