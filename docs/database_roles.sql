-- Roles and rights of a Smallfirst database, PostgreSQL 16 or newer. Safe to run again.
--
-- Who runs it: a superuser, connected to the database that Smallfirst will use. `./run up` runs this very file on its
-- embedded database; in production an administrator runs it once before the first `./run manage migrate`:
--
--     createdb smallfirst
--     psql --dbname smallfirst --file docs/database_roles.sql
--     psql --dbname smallfirst --command "\password smallfirst_app" --command "\password smallfirst_migrator"
--
-- smallfirst_app       what web, worker and beat connect as: reads and writes rows, changes no table
-- smallfirst_migrator  what `./run manage migrate` connects as: owns the schema and its tables
-- smallfirst_audit     owns the audit tables; nobody signs in as it, the migrator takes it on to migrate them

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smallfirst_audit') THEN
        CREATE ROLE smallfirst_audit NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smallfirst_migrator') THEN
        CREATE ROLE smallfirst_migrator LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smallfirst_app') THEN
        CREATE ROLE smallfirst_app LOGIN;
    END IF;
END
$$;

-- The migrator can become the audit owner, but does not carry its rights about: it has to ask each time.
GRANT smallfirst_audit TO smallfirst_migrator WITH INHERIT FALSE, SET TRUE;

-- The database itself belongs to the migrator, so that trusted extensions need no superuser.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO smallfirst_migrator', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO smallfirst_app', current_database());
END
$$;

ALTER SCHEMA public OWNER TO smallfirst_migrator;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO smallfirst_app;
-- A table can only be given to a role that may create in its schema.
GRANT USAGE, CREATE ON SCHEMA public TO smallfirst_audit;

-- What the migrator creates, the app may use; never TRUNCATE, REFERENCES or TRIGGER.
ALTER DEFAULT PRIVILEGES FOR ROLE smallfirst_migrator IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO smallfirst_app;
ALTER DEFAULT PRIVILEGES FOR ROLE smallfirst_migrator IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO smallfirst_app;
